"""``dferc data extract``: a corpus from recordings."""

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dferc.errors import UserError
from dferc_platform.cli.durations import duration
from dferc_platform.cli.report import say

if TYPE_CHECKING:
    from dferc.corpus import CorpusCard
    from dferc.corpus.recordings import Recordings
    from dferc_platform.extract.config import ExtractionConfig

NOTHING = "none"
"""What leaves a modality out."""


class Layout(StrEnum):
    """Forms in which recordings are read."""

    MELD = "meld"
    IEMOCAP = "iemocap"
    EMORYNLP = "emorynlp"
    MOSI = "mosi"
    OWN = "own"


def extract(
    layout: Annotated[Layout, typer.Argument(help="How the recordings are laid out; own: a table of your own.")],
    place: Annotated[Path, typer.Argument(metavar="PLACE", help="Folder of the recordings, or the table of your own.")],
    text: Annotated[
        str | None,
        typer.Option(
            metavar="ENCODER|none",
            help="Transformer for transcripts: a hub name or a folder; roberta-large by default.",
        ),
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
        Path | None, typer.Option(metavar="FILE", help="Where to write it; corpora/LAYOUT.parquet by default.")
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

    Finished dialogues are kept beside the corpus, in FILE.parts: a stopped extraction goes on when the command is given
    again. Sound and faces need the extra `raw` (pip install "dferc\\[raw]"); openSMILE may not be used commercially.
    """
    target = out or Path("corpora") / f"{layout.value}.parquet"
    options = {"text": text, "audio": audio, "visual": visual}
    if like is not None and (config is not None or audio is not None):
        raise UserError("--like takes every setting from its corpus: leave out --config and --audio")
    model = None if like is None else _card(like)
    recordings = _read(layout, place, _assignments(reading or []), model)
    chosen = _settings(recordings, config, options, model)
    if dry_run:
        _say_plan(recordings, chosen, target)
    else:
        _extract(recordings, chosen, model, target, workers)


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
        return as_in(model, {"text": options["text"], "visual": options["visual"]})
    return read_extraction(config, _sections(options, config, recordings))


def _sections(
    options: Mapping[str, str | None], config: Path | None, recordings: "Recordings"
) -> dict[str, dict[str, Any] | None]:
    """The sections that the command line asks for; without a file of settings, text and audio are there by default."""
    setting = {"text": "source", "audio": "feature_set", "visual": "weights"}
    chosen: dict[str, dict[str, Any] | None] = {
        name: None if value == NOTHING else {setting[name]: value}
        for name, value in options.items()
        if value is not None
    }
    if config is None:
        heard = any(u.audio is not None for u in recordings.utterances)
        chosen = {"text": {}, **({"audio": {}} if heard else {}), **chosen}
    return chosen


def _extract(
    recordings: "Recordings",
    config: "ExtractionConfig",
    model: "CorpusCard | None",
    target: Path,
    workers: int | None,
) -> None:
    from dferc_platform.cli.progress import ExtractionBars
    from dferc_platform.extract.corpus import extract_corpus

    with ExtractionBars() as bars:
        card = extract_corpus(recordings, config, target, bars.show, workers=workers, like=model)
    made = ", ".join(f"{modality.width} {name}" for name, modality in card.modalities.items())
    say(f"Wrote {target}: {f'{made} numbers an utterance' if made else 'transcripts alone'}")
    for repair in card.repairs:
        say(f"Note: {repair}")
    say(f"What could not be extracted, and why: dferc data verify {target}")


def _say_plan(recordings: "Recordings", config: "ExtractionConfig", target: Path) -> None:
    from dferc_platform.extract.corpus import plan

    size = f"{len(recordings.utterances)} utterances in {len(recordings.dialogues())} dialogues"
    say(f"Would read {recordings.card.name}: {size}")
    for repair in recordings.card.repairs:
        say(f"Note: {repair}")
    for cost in plan(recordings, config, target).estimate():
        settings = ", ".join(f"{name}={value}" for name, value in getattr(config, cost.name).model_dump().items())
        say(f"{cost.name}: {settings}")
        left = f"{duration(cost.utterances * cost.seconds)} on one CPU, less on more" if cost.utterances else "nothing"
        say(f"  {cost.done} of {cost.total} dialogues are done; the rest: about {left}")
    say(f"It would be written to {target}, and its finished dialogues kept in {target}.parts")


def _assignments(reading: list[str]) -> dict[str, str]:
    wrong = [item for item in reading if "=" not in item]
    if wrong:
        raise UserError(f"--reading {wrong[0]}: write NAME=VALUE")
    return dict(item.split("=", 1) for item in reading)
