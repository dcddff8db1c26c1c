"""Options that several commands share, and what is made of them."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dferc.errors import UserError

if TYPE_CHECKING:
    from dferc_platform.config import RunConfig
    from dferc_platform.costs import Sizes

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

GpusPerTrial = Annotated[
    str,
    typer.Option(
        metavar="NUMBER|auto",
        help="GPUs of one trial; 0.5 puts two on one GPU, auto as many as its memory holds by measurement.",
    ),
]
MemoryPerTrial = Annotated[
    str | None,
    typer.Option(
        metavar="GB|auto",
        help="Memory of its node that is set aside for one trial, auto by measurement; none is by default.",
    ),
]
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
    from dferc_platform.storage.uri import as_path

    return corpus if corpus == "synthetic" else str(as_path(corpus) or corpus)


def read_sizes(gpus: str, memory: str | None) -> "Sizes":
    """What a trial is to take.

    Raises:
        UserError: it is neither a number from 0 nor auto.
    """
    from dferc_platform.costs import Sizes

    bytes_of_memory = _amount(memory or "0", "--memory-per-trial", "of GB")
    return Sizes(
        _amount(gpus, "--gpus-per-trial", "of GPUs"), None if bytes_of_memory is None else 1e9 * bytes_of_memory
    )


def _amount(text: str, option: str, of_what: str) -> float | None:
    """None for auto."""
    if text.strip().lower() == "auto":
        return None
    try:
        amount = float(text)
    except ValueError:
        amount = math.nan
    if not (math.isfinite(amount) and amount >= 0):
        raise UserError(f"{option} {text}: write a number {of_what} from 0, or auto")
    return amount


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
