"""``dferc sweep``: search hyperparameters, then, if asked, score the best ones with several seeds."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dferc.errors import UserError
from dferc_platform.cli.costs import sized
from dferc_platform.cli.errors import say_warning
from dferc_platform.cli.options import (
    EXPERIMENT,
    Concurrency,
    ConfigFile,
    CorpusName,
    DryRun,
    Epochs,
    GpusPerTrial,
    MemoryPerTrial,
    Recipe,
    Resume,
    Settings,
    StudyName,
    base_config,
    read_seeds,
    read_sizes,
)
from dferc_platform.cli.report import say, say_report
from dferc_platform.cli.sweep_plan import say_sweep_plan
from dferc_platform.cli.tables import say_tracked, show_best, show_rows

if TYPE_CHECKING:
    from dferc_platform.config import RunConfig
    from dferc_platform.results import RunRow
    from dferc_platform.spaces import SearchSpace
    from dferc_platform.sweep import Resources


def sweep(
    space: Annotated[
        str, typer.Argument(metavar="SPACE", help="Search space: a YAML file, or the name of a shipped one.")
    ],
    recipe: Recipe = None,
    config: ConfigFile = None,
    settings: Settings = None,
    corpus: CorpusName = None,
    epochs: Epochs = None,
    trials: Annotated[int | None, typer.Option(min=1, help="Most trials; by default the space's budget.")] = None,
    minutes: Annotated[float | None, typer.Option(min=0.01, help="Start no trial after so many minutes.")] = None,
    concurrency: Concurrency = None,
    gpus_per_trial: GpusPerTrial = "0",
    memory_per_trial: MemoryPerTrial = None,
    name: StudyName = None,
    resume: Resume = False,
    confirm_seeds: Annotated[
        str | None,
        typer.Option(metavar="0,1,2,3,4", help="Train the best again with these seeds, test scored once each."),
    ] = None,
    dry_run: DryRun = False,
) -> None:
    """Search hyperparameters on Ray with Optuna; validation chooses, test stays sealed.

    Example: dferc sweep df_erc --corpus corpora/mosi.parquet --trials 30 --confirm-seeds 0,1,2,3,4

    The scores of a search flatter, for the best was chosen among many: the number to publish is the mean over
    --confirm-seeds. A sweep that was stopped goes on when the same command is given again.
    """
    from dferc_platform.costs import heaviest
    from dferc_platform.spaces import check_space, read_space

    shipped = read_space(space)
    base = base_config(config, settings, corpus, epochs, shipped.model, recipe)
    chosen = with_fixed(shipped, base, config, settings, epochs)
    chosen = with_budget(chosen, trials, minutes)
    seeds = read_seeds(confirm_seeds, "--confirm-seeds") if confirm_seeds else []
    folder = sweep_folder(name or f"{Path(space).stem}-{Path(base.corpus).stem}", resume)
    sizes = read_sizes(gpus_per_trial, memory_per_trial)
    if dry_run:
        say_sweep_plan(chosen, base, sizes, concurrency, folder, seeds)
        return
    check_space(chosen, base)
    with sized(sizes, [heaviest(chosen, base)]) as (resources,):
        rows = search(chosen, base, folder, resources, concurrency)
        show_best(rows, chosen)
        if seeds:
            _confirm(chosen, base, folder, rows, seeds, resources, concurrency)


def with_fixed(
    space: "SearchSpace", base: "RunConfig", config: Path | None, settings: list[str] | None, epochs: int | None
) -> "SearchSpace":
    """The space with what the command line fixes, which outranks what the space's file fixes.

    What ``--config`` names and the space varies is varied: the file may be the whole config of an earlier run.
    """
    from dferc_platform.config import named_settings

    names = [name for name in named_settings(config) if name not in space.parameters] if config else []
    names += [pair.partition("=")[0].rsplit(".", 1)[-1] for pair in settings or ()]
    names += ["epochs"] if epochs is not None else []
    values = base.parameters()
    return space.model_copy(update={"settings": {**space.settings, **{name: values[name] for name in names}}})


def with_budget(space: "SearchSpace", trials: int | None, minutes: float | None) -> "SearchSpace":
    """The space with the parts of its budget that are given; with both, whichever comes first ends the sweep."""
    given = {name: value for name, value in (("trials", trials), ("minutes", minutes)) if value is not None}
    return space.model_copy(update={"budget": space.budget.model_copy(update=given)})


def sweep_folder(name: str, resume: bool) -> Path:
    """Where the study of that name lies.

    Raises:
        UserError: it is to be resumed, and there is none.
    """
    from dferc_platform.results import results_folder
    from dferc_platform.storage import pull

    folder = results_folder() / name
    pull(folder, runs=False)
    if resume and not (folder / "study.json").is_file():
        raise UserError(f"--resume: there is no study {folder}")
    return folder


def search(
    space: "SearchSpace",
    base: "RunConfig",
    folder: Path,
    resources: "Resources",
    concurrency: int | None,
    kind: str = "sweep",
) -> "list[RunRow]":
    """Run a sweep with its progress shown, and write its report."""
    from dferc_platform.cli.progress import SweepBar
    from dferc_platform.studies.conclusion import conclude
    from dferc_platform.sweep import run_sweep
    from dferc_platform.tracking import Tracker

    with Tracker(EXPERIMENT) as tracker, SweepBar(folder.name) as bar:
        rows = run_sweep(
            space,
            base,
            folder,
            tracker,
            resume=True,
            concurrency=concurrency,
            resources=resources,
            progress=bar.show,
            kind=kind,
        )
        page = conclude(folder, tracker, {})
    say_report(page)
    say_tracked(tracker, folder.name)
    return rows


def _confirm(
    space: "SearchSpace",
    base: "RunConfig",
    folder: Path,
    rows: "list[RunRow]",
    seeds: list[int],
    resources: "Resources",
    concurrency: int | None,
) -> None:
    from dferc_platform.studies.confirm import confirmation_space
    from dferc_platform.sweep import best

    again = confirmation_space(space, rows, seeds)
    say(f"The best by validation, trained again with seeds {', '.join(map(str, seeds))}:")
    # Named after the trial, for a search that goes on may find another best.
    confirmed = folder.with_name(f"{folder.name}-confirmed-{best(rows, space).number}")
    rows = search(again, base, confirmed, resources, concurrency, kind="train")
    finished = [row for row in rows if row.status == "FINISHED"]
    show_rows(finished)
    if len(finished) < len(seeds):
        say_warning(f"only {len(finished)} of {len(seeds)} seeds finished; the report says why")
