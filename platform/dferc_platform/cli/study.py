"""``dferc study``: questions that are made of many runs."""

from typing import TYPE_CHECKING, Annotated

import typer

from dferc_platform.cli.options import (
    EXPERIMENT,
    Concurrency,
    ConfigFile,
    CorpusName,
    DryRun,
    Epochs,
    GpusPerTrial,
    MemoryPerTrial,
    Resume,
    Settings,
    StudyName,
    base_config,
    read_numbers,
    read_seeds,
    read_sizes,
)
from dferc_platform.cli.search import sweep_folder, with_fixed
from dferc_platform.cli.sweep_plan import say_sweep_plan
from dferc_platform.cli.tables import show_beta

if TYPE_CHECKING:
    from dferc_platform.spaces import SearchSpace

app = typer.Typer(help="Studies: a question made of many runs, with a report at its end.", no_args_is_help=True)


@app.callback()
def studies() -> None:
    """Studies: a question made of many runs, with a report at its end."""


@app.command("beta")
def beta(
    space: Annotated[
        str, typer.Option(metavar="SPACE", help="Search space with the grid of betas.")
    ] = "beta_sensitivity",
    betas: Annotated[str | None, typer.Option(metavar="0,0.1,0.2", help="Betas instead of those of the space.")] = None,
    seeds: Annotated[str | None, typer.Option(metavar="0,1,2", help="Seeds instead of those of the space.")] = None,
    config: ConfigFile = None,
    settings: Settings = None,
    corpus: CorpusName = None,
    epochs: Epochs = None,
    concurrency: Concurrency = None,
    gpus_per_trial: GpusPerTrial = "0",
    memory_per_trial: MemoryPerTrial = None,
    name: StudyName = None,
    resume: Resume = False,
    dry_run: DryRun = False,
) -> None:
    """How much does the margin beta of the prototype loss matter? Every beta with every seed, compared in MLflow.

    Example: dferc study beta --corpus corpora/mosi.parquet --betas 0,0.05,0.1,0.2,0.4 --seeds 0,1,2

    It ends with a figure (mean, seed band, best, flat region) and an HTML report. Stopped, it goes on when given again.
    """
    from pathlib import Path

    from dferc_platform.spaces import read_space

    shipped = read_space(space)
    base = base_config(config, settings, corpus, epochs, shipped.model)
    chosen = _with_grid(with_fixed(shipped, base, config, settings, epochs), betas, seeds)
    folder = sweep_folder(name or f"beta-{Path(base.corpus).stem}", resume)
    sizes = read_sizes(gpus_per_trial, memory_per_trial)
    if dry_run:
        say_sweep_plan(chosen, base, sizes, concurrency, folder)
        return
    from dferc_platform.cli.costs import sized
    from dferc_platform.cli.progress import SweepBar
    from dferc_platform.costs import heaviest
    from dferc_platform.spaces import check_space
    from dferc_platform.studies.beta import check_grid, run_beta_study
    from dferc_platform.tracking import Tracker

    check_grid(chosen)
    check_space(chosen, base)
    with (
        sized(sizes, [heaviest(chosen, base)]) as (resources,),
        Tracker(EXPERIMENT) as tracker,
        SweepBar(folder.name) as bar,
    ):
        summary = run_beta_study(
            base, folder, tracker,
            space=chosen, resume=True, concurrency=concurrency, resources=resources, progress=bar.show,
        )  # fmt: skip
    show_beta(summary, tracker)


def _with_grid(space: "SearchSpace", betas: str | None, seeds: str | None) -> "SearchSpace":
    from dferc_platform.spaces.parameters import CategoricalParameter

    if betas:
        grid = CategoricalParameter(kind="categorical", choices=tuple(read_numbers(betas, "--betas")))
        space = space.model_copy(update={"parameters": {**space.parameters, "beta": grid}})
    if seeds:
        space = space.model_copy(update={"seeds": tuple(read_seeds(seeds))})
    return space
