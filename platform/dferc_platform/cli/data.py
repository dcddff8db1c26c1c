"""``dferc data``: make, import, inspect and verify corpora."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dferc.errors import UserError
from dferc_platform.cli.corpus_tables import show_summary
from dferc_platform.cli.errors import say_warning
from dferc_platform.cli.report import say

if TYPE_CHECKING:
    from dferc.corpus import Corpus

app = typer.Typer(help="Corpora: make one, import one, look at one, check one.", no_args_is_help=True)

CorpusFile = Annotated[str, typer.Argument(metavar="CORPUS", help="Corpus file, or 'synthetic' for the embedded one.")]

EMBEDDINGS = {"minilm": "all-minilm-l6-v2", "mpnet": "all-mpnet-base-v2"}
"""Short names of the public sentence embeddings of MELD's texts."""


class Source(StrEnum):
    """Corpora that can be imported."""

    MELD = "meld"
    MOSI = "mosi"


class Size(StrEnum):
    """Sizes of synthetic corpora."""

    TINY = "tiny"
    DEFAULT = "default"


@app.command("make")
def make(
    out: Annotated[Path, typer.Option(metavar="FILE", help="Where to write it.")] = Path("corpora/synthetic.parquet"),
    seed: Annotated[int, typer.Option(min=0, help="Another seed is another world, with other conversations.")] = 0,
    size: Annotated[Size, typer.Option(help="tiny: trains in a second, for trying things.")] = Size.DEFAULT,
) -> None:
    """Make a corpus of synthetic conversations whose truth is known.

    Example: dferc data make --size tiny --out corpora/tiny.parquet
    """
    from dferc.corpus.synthetic import TINY, SyntheticConfig, generate

    base = TINY if size is Size.TINY else SyntheticConfig()
    _save(generate(base.model_copy(update={"seed": seed})), out)


@app.command("import")
def import_corpus(
    source: Annotated[Source, typer.Argument(help="Which corpus the folder holds.")],
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder with its files as they are published.")],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where to write it; corpora/SOURCE.parquet by default.")
    ] = None,
    embedding: Annotated[
        str, typer.Option(metavar="minilm|mpnet", help="Text vectors of MELD; or the name of another .npz file there.")
    ] = "mpnet",
) -> None:
    """Import MELD (text) or CMU-MOSI (text, audio, visual) into one corpus file, with its published splits.

    Example: dferc data import meld MELD/ --embedding mpnet --out corpora/meld.parquet
    """
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder}")
    if source is Source.MELD:
        from dferc.corpus.importers.meld import import_meld

        corpus = import_meld(folder, EMBEDDINGS.get(embedding, embedding))
    else:
        from dferc.corpus.importers.mosi import import_mosi

        corpus = import_mosi(folder)
    _save(corpus, out or Path("corpora") / f"{source.value}.parquet")


@app.command("inspect")
def inspect(corpus: CorpusFile) -> None:
    """Show what is in a corpus: splits, classes, lengths, speakers, missing modalities, and what looks odd.

    Example: dferc data inspect corpora/meld.parquet
    """
    from dferc.corpus.summary import describe

    summary = describe(_open(corpus))
    show_summary(summary)
    for warning in summary.warnings:
        say_warning(warning)


@app.command("verify")
def verify(corpus: CorpusFile) -> None:
    """Check a corpus against the contract; all problems at once and exit code 2 when it is broken.

    Example: dferc data verify corpora/mine.parquet
    """
    from dferc.corpus.summary import describe

    warnings = describe(_open(corpus)).warnings
    for warning in warnings:
        say_warning(warning)
    say(f"{corpus} keeps the contract; {len(warnings)} warnings.")


def _open(corpus: str) -> "Corpus":
    from dferc_platform.saved import open_corpus

    return open_corpus(corpus)


def _save(corpus: "Corpus", out: Path) -> None:
    path = corpus.save(out)
    say(f"Wrote {path}: {corpus.table.num_rows} utterances in {len(corpus.dialogues)} dialogues")
    say(f"Look at it with: dferc data inspect {path}")
