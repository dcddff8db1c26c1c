"""``dferc data extract``: a corpus from recordings, or a corpus with more vectors of its transcripts."""

from collections.abc import Mapping
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dferc.errors import UserError
from dferc_platform.cli.extraction import Make, say_plan, write

if TYPE_CHECKING:
    from dferc.corpus import CorpusCard
    from dferc.corpus.recordings import Recordings
    from dferc_platform.extract.config import ExtractionConfig

NOTHING = "none"
"""What leaves a modality out."""


class Layout(StrEnum):
    """Forms in which recordings are read, and the corpus file that is there already."""

    MELD = "meld"
    IEMOCAP = "iemocap"
    EMORYNLP = "emorynlp"
    MOSI = "mosi"
    OWN = "own"
    CORPUS = "corpus"


def extract(
    layout: Annotated[
        Layout,
        typer.Argument(help="How the recordings are laid out; own: a table of your own; corpus: a corpus to add to."),
    ],
    place: Annotated[Path, typer.Argument(metavar="PLACE", help="Folder of the recordings; the table; the corpus.")],
    text: Annotated[
        str | None,
        typer.Option(
            metavar="ENCODER|none",
            help="Transformer for transcripts: a hub name or a folder; roberta-large by default.",
        ),
    ] = None,
    comet: Annotated[
        str | None,
        typer.Option(metavar="MODEL|none", help="COMET for transcripts: a hub name or a folder; without it, no COMET."),
    ] = None,
    audio: Annotated[
        str | None,
        typer.Option(
            metavar="IS10|IS09|ComParE_2016|eGeMAPSv02|none", help="openSMILE features of the sound; IS10 by default."
        ),
    ] = None,
    visual: Annotated[
        str | None,
        typer.Option(metavar="FILE|none", help="Weights of the DenseNet for faces; without them, no visual."),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="YAML with all settings, a section a modality.")
    ] = None,
    like: Annotated[
        Path | None,
        typer.Option(metavar="CORPUS", help="Extract as for this corpus, to predict with its models."),
    ] = None,
    reading: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="How the layout is read, for example labels=4-way of iemocap."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Where to write it; by default corpora/LAYOUT.parquet, or beside the corpus that is added to.",
        ),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Workers; as many as there are GPUs or CPUs by default.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be extracted, and what is already; extract nothing.")
    ] = False,
) -> None:
    """Make a corpus from recordings: transcripts, sound and faces become one vector a modality and utterance.

    Example: dferc data extract meld MELD.Raw/ --text roberta-large --audio IS10 --out corpora/meld-raw.parquet

    Or add vectors of its transcripts to a corpus: dferc data extract corpus corpora/meld.parquet --comet FOLDER

    Finished dialogues are kept beside the corpus, in FILE.parts: a stopped extraction goes on when the command is given
    again. Sound and faces need the extra `raw` (pip install "dferc\\[raw]"); openSMILE may not be used commercially.
    """
    options = {"text": text, "comet": comet, "audio": audio, "visual": visual}
    if layout is Layout.CORPUS:
        if like is not None or reading:
            raise UserError("--like and --reading are for recordings: leave them out where a corpus is added to")
        recordings, chosen, make = _addition(place, out, config, options)
        target = out or place.with_stem("-".join([place.stem, *(stage.name for stage in chosen.stages())]))
    else:
        if like is not None and (config is not None or audio is not None):
            raise UserError("--like takes every setting from its corpus: leave out --config and --audio")
        model = None if like is None else _card(like)
        recordings = _read(layout, place, _assignments(reading or []), model)
        chosen = _settings(recordings, config, options, model)
        make = _from_recordings(recordings, chosen, model)
        target = out or Path("corpora") / f"{layout.value}.parquet"
    if dry_run:
        say_plan(recordings, chosen, target)
    else:
        write(make, target, workers)


def _card(corpus: Path) -> "CorpusCard":
    from dferc.corpus import Corpus

    return Corpus.open(corpus).card


def _read(layout: Layout, place: Path, reading: Mapping[str, str], model: "CorpusCard | None") -> "Recordings":
    from dferc.corpus.recordings.reading import read_recordings
    from dferc.encoders.assembly import check_recordings

    recordings = read_recordings(layout.value, place, reading, None if model is None else model.labels)
    check_recordings(recordings)
    return recordings


def _settings(
    recordings: "Recordings", config: Path | None, options: Mapping[str, str | None], model: "CorpusCard | None"
) -> "ExtractionConfig":
    from dferc_platform.extract.config import as_in, read_extraction

    if model is not None:
        return as_in(model, options)
    heard = any(u.audio is not None for u in recordings.utterances)
    by_default: dict[str, dict[str, Any] | None] = {"text": {}, **({"audio": {}} if heard else {})}
    return read_extraction(config, (by_default if config is None else {}) | _sections(options))


def _sections(options: Mapping[str, str | None]) -> dict[str, dict[str, Any] | None]:
    """The sections that the command line asks for."""
    setting = {"text": "source", "comet": "source", "audio": "feature_set", "visual": "weights"}
    return {
        name: None if value == NOTHING else {setting[name]: value}
        for name, value in options.items()
        if value is not None
    }


def _from_recordings(recordings: "Recordings", config: "ExtractionConfig", model: "CorpusCard | None") -> Make:
    from dferc_platform.extract.corpus import extract_corpus

    return partial(extract_corpus, recordings, config, like=model)


def _addition(
    place: Path, out: Path | None, config: Path | None, options: Mapping[str, str | None]
) -> "tuple[Recordings, ExtractionConfig, Make]":
    """What is added to a corpus: its utterances, what is made of them, and what makes it."""
    from dferc.corpus import Corpus
    from dferc.encoders.addition import recorded
    from dferc_platform.extract.config import read_extraction
    from dferc_platform.extract.corpus import check_addition, extend_corpus

    corpus = Corpus.open(place)
    if out is not None and out.resolve() == place.resolve():
        raise UserError(f"--out {out} is the corpus that is added to: name another file")
    chosen = read_extraction(config, _sections(options))
    check_addition(corpus.card, chosen)
    return recorded(corpus), chosen, partial(extend_corpus, place, chosen)


def _assignments(reading: list[str]) -> dict[str, str]:
    wrong = [item for item in reading if "=" not in item]
    if wrong:
        raise UserError(f"--reading {wrong[0]}: write NAME=VALUE")
    return dict(item.split("=", 1) for item in reading)
