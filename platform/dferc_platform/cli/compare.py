"""``dferc compare``: which model is best on a corpus?"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from dferc_platform.cli.options import (
    EXPERIMENT,
    Concurrency,
    CorpusName,
    DryRun,
    Epochs,
    GpusPerTrial,
    MemoryPerTrial,
    StudyName,
    absolute_corpus,
    read_seeds,
    read_sizes,
)
from dferc_platform.cli.report import say, say_report, say_where
from dferc_platform.cli.tables import say_tracked

if TYPE_CHECKING:
    from dferc_platform.costs import Sizes
    from dferc_platform.studies.comparison_plan import ComparisonPlan
    from dferc_platform.sweep import SweepProgress

HIDDEN = ("test macro", "test accuracy", "best test epoch", "trials", "parameters", "seconds", "peak memory")
"""Columns that only the report has room for."""


def compare(
    corpus: CorpusName = None,
    models: Annotated[
        str | None, typer.Option(metavar="A,B,C", help="Models to compare; all that there are by default.")
    ] = None,
    trials: Annotated[
        int, typer.Option(min=0, help="Trials of the search of each model, the same for all; 0 searches none.")
    ] = 20,
    seeds: Annotated[str, typer.Option(metavar="0,1,2", help="Seeds of the best settings of each model.")] = "0,1,2",
    epochs: Epochs = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="[MODEL.]NAME=VALUE",
            help="Fix one setting, of one model or of every one that has it, for example --set hitrans.backbone=FOLDER "
            "--set batch_dialogues=16; may be repeated. It outranks everything, and is not searched.",
        ),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            "--recipe", metavar="CORPUS", help="Take the settings published for this corpus where a model has them."
        ),
    ] = None,
    small: Annotated[
        bool, typer.Option("--small", help="Tiny models, to try the study itself; the scores mean nothing.")
    ] = False,
    concurrency: Concurrency = None,
    gpus_per_trial: GpusPerTrial = "0",
    memory_per_trial: MemoryPerTrial = None,
    name: StudyName = None,
    dry_run: DryRun = False,
) -> None:
    """Compare models on one footing: as many trials each, chosen on validation, test scored once a seed.

    Example: dferc compare --corpus corpora/mosi.parquet --models df_erc,bc_lstm --trials 20 --seeds 0,1,2

    It ends with a leaderboard: means with intervals, paired distances to DF-ERC with corrected p values, published
    scores. A model that fails fails alone. Stopped, it goes on when the same command is given again. With --trials 0
    nothing is searched: every model is trained as it was published.
    """
    from dferc_platform.config import read_pairs
    from dferc_platform.results import results_folder
    from dferc_platform.studies.comparison_plan import ComparisonPlan, contestants

    plan = ComparisonPlan(
        models=contestants(models),
        corpus=absolute_corpus(corpus or "synthetic"),
        trials=trials,
        seeds=tuple(read_seeds(seeds)),
        epochs=epochs,
        small=small,
        settings=read_pairs(settings or ()),
        recipe=recipe,
    )
    folder = results_folder() / (name or f"compare-{Path(plan.corpus).stem}")
    sizes = read_sizes(gpus_per_trial, memory_per_trial)
    if dry_run:
        _say_plan(plan, sizes, concurrency, folder)
    else:
        _compare(plan, sizes, concurrency, folder)


def _compare(plan: "ComparisonPlan", sizes: "Sizes", concurrency: int | None, folder: Path) -> None:
    from dferc_platform.cli.costs import sized
    from dferc_platform.cli.progress import Bars
    from dferc_platform.costs import heaviest
    from dferc_platform.report.comparison import read_comparison
    from dferc_platform.report.comparison_report import leaderboard
    from dferc_platform.report.tables import EMPTY
    from dferc_platform.studies.comparison import run_comparison
    from dferc_platform.tracking import Tracker

    plan.check()
    configs = [heaviest(plan.space(model), plan.base(model)) for model in plan.models]
    with sized(sizes, configs) as takes, Tracker(EXPERIMENT) as tracker, Bars() as bars:

        def show(model: str, stage: str, at: "SweepProgress") -> None:
            best = "" if at.best is None else f", best {at.best:.2f}"
            bars.move(f"{model}, {stage}", at.done, at.total, f"{at.running} running{best}")

        resources = dict(zip(plan.models, takes, strict=True))
        page = run_comparison(plan, folder, tracker, concurrency=concurrency, resources=resources, progress=show)
    table = leaderboard(read_comparison(folder))
    texts = table.texts()
    known = [any(cells[place] != EMPTY for cells in texts) for place in range(len(table.columns))]
    places = [p for p, column in enumerate(table.columns) if known[p] and not column.startswith(HIDDEN)]
    shown = Table(box=None, pad_edge=False)
    for place in places:
        shown.add_column(table.columns[place], justify="right" if place else "left", no_wrap=True)
    for cells in texts:
        shown.add_row(*(cells[place] for place in places))
    Console().print(shown)
    say_report(page)
    say_tracked(tracker, folder.name)


def _say_plan(plan: "ComparisonPlan", sizes: "Sizes", concurrency: int | None, folder: Path) -> None:
    from dferc_platform.cli.costs import say_costs
    from dferc_platform.cli.sweep_plan import part_of
    from dferc_platform.cli.tables import values_text
    from dferc_platform.studies.confirm import unsearched_space
    from dferc_platform.studies.overrides import settings_of

    plan.check()
    runs = sum(map(plan.runs, plan.models))
    say(f"Would compare {len(plan.models)} models on {plan.corpus}: {runs} runs in all")
    parts = []
    for model in plan.models:
        fixed = values_text(settings_of(model, plan.settings))
        if fixed:
            say(f"  {model} with {fixed}")
        space, base = plan.space(model), plan.base(model)
        if plan.searches(model):
            parts.append(part_of(f"{model}, search", space, base, plan.trials, ()))
        again = unsearched_space(space, plan.seeds, optimism=True)
        parts.append(part_of(f"{model}, confirmed", again, base, len(plan.seeds), ()))
    say_costs(parts, sizes, concurrency)
    say_where("It would lie in", folder)
