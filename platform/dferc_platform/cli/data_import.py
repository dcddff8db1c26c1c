"""``dferc data import``: corpora from the files in which others published them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dferc.errors import UserError
from dferc_platform.cli.report import say

if TYPE_CHECKING:
    from dferc.corpus import Corpus, Split

app = typer.Typer(help="One corpus file from the files in which others published a corpus.", no_args_is_help=True)

Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder with its files as they are published.")]
Out = Annotated[Path | None, typer.Option(metavar="FILE", help="Where to write it; corpora/NAME.parquet by default.")]

EMBEDDINGS = {"minilm": "all-minilm-l6-v2", "mpnet": "all-mpnet-base-v2"}
"""Short names of the public sentence embeddings of MELD's texts."""


@app.command("meld")
def meld(
    folder: Folder,
    out: Out = None,
    embedding: Annotated[
        str, typer.Option(metavar="minilm|mpnet", help="Its text vectors; or the name of another .npz file there.")
    ] = "mpnet",
) -> None:
    """Import MELD's texts: the CSV files of declare-lab/MELD with sentence embeddings beside them.

    Example: dferc data import meld MELD/ --embedding mpnet --out corpora/meld.parquet
    """
    from dferc.corpus.importers.meld import import_meld

    save(import_meld(_existing(folder), EMBEDDINGS.get(embedding, embedding)), out)


@app.command("mosi")
def mosi(folder: Folder, out: Out = None) -> None:
    """Import CMU-MOSI's text, audio and visual vectors, as declare-lab/multimodal-deep-learning has them.

    Example: dferc data import mosi MOSI/
    """
    from dferc.corpus.importers.mosi import import_mosi

    save(import_mosi(_existing(folder)), out)


@app.command("features")
def features(
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="FILE...", help="Feature files, under any name."),
    ] = None,
    out: Out = None,
    splits: Annotated[
        list[str] | None,
        typer.Option("--split", metavar="SPLIT=FILE", help="Which file is which split, where files do not say it."),
    ] = None,
) -> None:
    """Import feature files of IEMOCAP or MELD as the field shares them: pickles and JSON, known by what is in them.

    Example: dferc data import features IEMOCAP_features.pkl iemocap_features_roberta.pkl

    Nothing in a file is ever run. A file of no known layout is refused with the nearest one and what differs.
    """
    from dferc.corpus.importers.feature_files import import_feature_files

    if not files and not splits:
        raise UserError("name the feature files: dferc data import features FILE...")
    save(import_feature_files(files or [], _splits(splits or [])), out)


def save(corpus: "Corpus", out: Path | None) -> None:
    """Write the corpus and say what came of it."""
    path = corpus.save(out or Path("corpora") / f"{corpus.card.name}.parquet")
    say(f"Wrote {path}: {corpus.table.num_rows} utterances in {len(corpus.dialogues)} dialogues")
    for repair in corpus.card.repairs:
        say(f"Note: {repair}")
    say(f"Look at it with: dferc data inspect {path}")


def _existing(folder: Path) -> Path:
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder}")
    return folder


def _splits(given: list[str]) -> "dict[Split, Path]":
    from dferc.corpus import SPLITS

    named = dict(item.split("=", 1) for item in given if "=" in item)
    if len(named) < len(given) or not set(named) <= set(SPLITS):
        raise UserError(f"--split {' '.join(given)}: write each of {', '.join(SPLITS)} once, as in train=FILE")
    return {split: Path(named[split]) for split in SPLITS if split in named}
