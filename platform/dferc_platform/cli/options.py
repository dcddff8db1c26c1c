"""Options that several commands share, and what is made of them."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dferc.errors import UserError

if TYPE_CHECKING:
    from dferc_platform.config import RunConfig

ConfigFile = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="YAML file of settings; the published ones by default.")
]
ModelName = Annotated[
    str | None, typer.Option("--model", metavar="NAME", help="Model to train; df_erc by default. See docs/models.")
]
Recipe = Annotated[
    str | None,
    typer.Option("--recipe", metavar="CORPUS", help="Take the settings published for this corpus."),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="NAME=VALUE", help="Change one setting, for example --set beta=0.2; may be repeated."
    ),
]
CorpusName = Annotated[
    str | None, typer.Option("--corpus", metavar="PATH", help="Corpus to use; the embedded synthetic one by default.")
]
Epochs = Annotated[int | None, typer.Option(min=1, help="Most epochs a run; short for --set epochs=N.")]
StudyName = Annotated[
    str | None,
    typer.Option("--name", help="Name of the study, a folder under results/; made from its content by default."),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Say what would run and about how long it would take; run nothing.")
]
Resume = Annotated[
    bool,
    typer.Option(
        "--resume",
        help="Only go on with a study: refuse to begin one where there is none. "
        "Going on repeats trials that failed, but not those that diverged.",
    ),
]
Concurrency = Annotated[
    int | None, typer.Option(min=1, help="Runs at a time; as many as the cluster has room for by default.")
]

GpusPerTrial = Annotated[float, typer.Option(min=0, help="GPUs of one trial; 0.5 puts two on one GPU.")]
EXPERIMENT = "dferc"
"""The MLflow experiment that holds every study, so that runs of different studies can be compared."""


def base_config(
    config: Path | None,
    settings: list[str] | None,
    corpus: str | None,
    epochs: int | None = None,
    model: str | None = None,
    recipe: str | None = None,
) -> "RunConfig":
    """The config that a file, ``--set`` and the short options describe together; the corpus as an absolute path."""
    from dferc_platform.config import read_config, with_settings

    made = read_config(config, settings or (), model, recipe)
    chosen: dict[str, Any] = {"corpus": absolute_corpus(corpus or made.corpus)}
    if epochs is not None:
        chosen["epochs"] = epochs
    return with_settings(made, chosen)


def absolute_corpus(corpus: str) -> str:
    """The same corpus for a worker that runs in another folder."""
    return corpus if corpus == "synthetic" else str(Path(corpus).expanduser().resolve())


def read_numbers(text: str, option: str) -> list[float]:
    """Numbers of a comma-separated list.

    Raises:
        UserError: something in it is no number, or there is none.
    """
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = [math.nan]
    if not all(map(math.isfinite, numbers)):
        raise UserError(f"{option} {text}: write numbers with commas between them, as in 0,1,2")
    return list(dict.fromkeys(numbers))


def read_seeds(text: str, option: str = "--seeds") -> list[int]:
    """Seeds of a comma-separated list.

    Raises:
        UserError: one of them is no whole number from 0.
    """
    numbers = read_numbers(text, option)
    if any(number < 0 or number != int(number) for number in numbers):
        raise UserError(f"{option} {text}: seeds are whole numbers from 0")
    return [int(number) for number in numbers]
