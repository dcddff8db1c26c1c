"""``dferc train``: one config, one or several seeds."""

import os
from typing import TYPE_CHECKING, Annotated

import typer

from dferc_platform.cli.options import (
    ConfigFile,
    CorpusName,
    DryRun,
    Epochs,
    ModelName,
    Recipe,
    Settings,
    StudyName,
    base_config,
    read_seeds,
)
from dferc_platform.cli.report import say, say_report, say_where
from dferc_platform.cli.tables import say_tracked, show_rows

if TYPE_CHECKING:
    from dferc_platform.config import RunConfig
    from dferc_platform.studies.seeds import SeedPlan


def train(
    model: ModelName = None,
    recipe: Recipe = None,
    config: ConfigFile = None,
    settings: Settings = None,
    corpus: CorpusName = None,
    epochs: Epochs = None,
    seeds: Annotated[
        str | None, typer.Option(metavar="0,1,2", help="One run a seed; the seed of the config by default.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Ray workers that share each batch.")] = 1,
    gpu: Annotated[bool, typer.Option("--gpu", help="One GPU a worker.")] = False,
    name: StudyName = None,
    dry_run: DryRun = False,
) -> None:
    """Train a model: validation chooses the epoch, test is scored once.

    Example: dferc train --corpus corpora/mosi.parquet --set beta=0.2 --seeds 0,1,2

    Several seeds give the mean with its 95 % interval. What is trained already is not trained again.
    """
    from dferc_platform.results import results_folder
    from dferc_platform.studies.seeds import plan_seeds

    base = base_config(config, settings, corpus, epochs, model, recipe)
    plan = plan_seeds(base, read_seeds(seeds) if seeds else [base.seed], results_folder(), name)
    if dry_run:
        _say_plan(plan, base, workers, gpu)
    elif not plan.waiting:
        say("This is already trained:")
        show_rows(plan.rows())
        say_where("It lies in", plan.folder)
    else:
        _train(plan, workers, gpu)


def _train(plan: "SeedPlan", workers: int, gpu: bool) -> None:
    from dferc_platform.cli.progress import EpochBars
    from dferc_platform.studies.seeds import Hardware, train_seeds
    from dferc_platform.tracking import Tracker

    with Tracker(plan.study.experiment) as tracker, EpochBars() as bars:

        def on_epoch(config: "RunConfig", metrics: dict[str, float]) -> None:
            bars.epoch(f"seed {config.seed}", config.training.epochs, metrics)

        rows = train_seeds(plan, tracker, Hardware(workers, gpu), on_epoch)
    show_rows(rows)
    say_where("Runs:", plan.folder / "runs")
    say_report(plan.folder / "report" / "report.html")
    say_tracked(tracker, plan.study.name)


def _say_plan(plan: "SeedPlan", base: "RunConfig", workers: int, gpu: bool) -> None:
    from dferc.training import steps_per_epoch
    from dferc_platform.cli.costs import Part, say_costs
    from dferc_platform.costs import Sizes
    from dferc_platform.saved import open_corpus

    waiting, seeds = len(plan.waiting), ", ".join(str(config.seed) for config in plan.configs)
    say(f"Would train {base.model_name} on {base.corpus}: {waiting} of {len(plan.configs)} runs (seeds {seeds})")
    steps = steps_per_epoch(open_corpus(base.corpus), base.training)
    say(f"At most {base.training.epochs} epochs a run, {steps} steps an epoch")
    if waiting:
        cpus = 1.0 if os.environ.get("RAY_ADDRESS") else float(os.cpu_count() or 1)
        say_costs([Part("runs", waiting, (base,), base)], Sizes(float(gpu)), concurrency=1, cpus=cpus)
        shared = f"; {workers} share each batch" if workers > 1 else ""
        say(f"That is the time of one worker{shared}; about 10 s more to start each run")
    say_where("It would lie in", plan.folder)
