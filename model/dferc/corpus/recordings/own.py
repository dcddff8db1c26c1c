"""A user's own conversations: a table of utterances, media files beside it, and a few words about them.

The table is ``utterances.csv`` or ``utterances.jsonl`` (or a file of another name, given itself), a row an utterance.
``corpus.yaml`` beside it may say what the corpus is called, which labels it has in which order, and so on. The columns
and a whole example are in docs/recordings.md.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from dferc.corpus.contract import SPLITS, CorpusCard, Split
from dferc.corpus.recordings.checks import checked
from dferc.corpus.recordings.contract import Clip, RecordedUtterance, Recordings
from dferc.corpus.recordings.own_rows import REGIONS, NumberedRow, problems_of, read_table, time_of
from dferc.corpus.tables import refuse_rows, sha256
from dferc.errors import UserError, setting_problems

TABLES = ("utterances.csv", "utterances.jsonl")
ABOUT = "corpus.yaml"
SPLIT_NAMES: dict[str, Split] = {split: split for split in SPLITS}


class Shares(BaseModel):
    """How large the splits are that are cut where the table gives none; the rest is train."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    validation: float = Field(gt=0, lt=1)
    test: float = Field(gt=0, lt=1)

    @model_validator(mode="after")
    def _leave_something_to_train_on(self) -> "Shares":
        if self.validation + self.test >= 1:
            raise ValueError("validation and test together must be less than 1: the rest is train")
        return self


class About(BaseModel):
    """What ``corpus.yaml`` may say."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str | None = None
    labels: tuple[str, ...] = ()
    source: str | None = None
    licence: str = "not stated"
    speaker_note: str = ""
    shares: Shares | None = None


def read_own(path: Path | str, *, labels: Sequence[str] | None = None) -> Recordings:
    """Conversations from a table and media files.

    Args:
        path: the table, or the folder that it is in.
        labels: class names in order, instead of those of corpus.yaml. A corpus without any labelled utterance needs
            them too: they are those of the model that is to predict.

    Raises:
        UserError: something is wrong in the table or in corpus.yaml; every bad row is named.
    """
    table = _table(Path(path).absolute())
    rows = read_table(table)
    about = _read_about(table.parent / ABOUT)
    names = tuple(about.labels if labels is None else labels)
    _refuse_labels(table, names, rows)
    refuse_rows(table, problems_of(rows, table.parent, names))
    splits, split_note = _splits(table, rows, about.shares)
    files = [table, *([table.parent / ABOUT] if (table.parent / ABOUT).is_file() else [])]
    card = CorpusCard(
        name=about.name or (table.parent.name if table.name in TABLES else table.stem),
        labels=names,
        modalities={},
        source=about.source or f"{table.name} and the media files that it names",
        licence=about.licence,
        split_note=split_note,
        speaker_note=about.speaker_note,
        files={file.name: sha256(file) for file in files},
    )
    return checked(card, [_utterance(row, table.parent, splits) for row in rows], table)


def _table(path: Path) -> Path:
    if path.is_file():
        return path
    if not path.exists():
        raise UserError(f"there is no folder or table {path}")
    found = [path / name for name in TABLES if (path / name).is_file()]
    if len(found) != 1:
        has = "both" if found else "neither of them"
        raise UserError(f"{path} must be a table or a folder with {' or '.join(TABLES)}, and it has {has}")
    return found[0]


def _read_about(path: Path) -> About:
    if not path.is_file():
        return About()
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        if not isinstance(content, dict):
            raise UserError(f"{path} must hold names and values, as `labels: [calm, upset]` does")
        return About.model_validate(content)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is no YAML in UTF-8: {' '.join(str(error).split())}") from None
    except ValidationError as error:
        raise UserError.collected(str(path), setting_problems(error, About.model_fields)) from None


def _refuse_labels(table: Path, labels: tuple[str, ...], rows: Sequence[NumberedRow]) -> None:
    if len(labels) >= 2 and len(set(labels)) == len(labels) and all(labels):
        return
    found = sorted({row.cells["label"] for row in rows} - {""})
    has = f"has the list of labels [{', '.join(labels)}]" if labels else "has no list of labels"
    which = f"in its rows: {', '.join(found)}" if found else "those of the model that is to predict; --like gives them"
    raise UserError(
        f"{table} {has}: give two or more different ones in their order, as `labels: [...]` in {ABOUT} beside it or as "
        f"the option labels ({which})"
    )


def _splits(table: Path, rows: Sequence[NumberedRow], shares: Shares | None) -> tuple[dict[str, Split], str]:
    """The split of each dialogue, and how it came about."""
    given: dict[str, str] = {row.cells["dialogue"]: row.cells["split"] for row in rows}
    if any(given.values()):
        return {dialogue: SPLIT_NAMES[name] for dialogue, name in given.items()}, f"as in {table.name}"
    if shares is not None:
        note = (
            f"the dialogues whose ids have the smallest SHA-256: {shares.test:g} test, {shares.validation:g} validation"
        )
        return _cut(list(given), shares), note
    if any(row.cells["label"] for row in rows):
        raise UserError(
            f"{table} says of no dialogue which split it is in: add a column split with train, validation or test, "
            f"the same in all rows of a dialogue, or `shares: {{validation: 0.1, test: 0.2}}` to {ABOUT}"
        )
    return dict.fromkeys(given, "test"), "without labels, all of it is test"


def _cut(dialogues: list[str], shares: Shares) -> dict[str, Split]:
    """The same dialogues on every machine, whatever the order of the rows."""
    by_hash = sorted(dialogues, key=lambda dialogue: hashlib.sha256(dialogue.encode()).hexdigest())
    test = round(shares.test * len(by_hash))
    held_out = test + round(shares.validation * len(by_hash))
    cut: dict[str, Split] = dict.fromkeys(by_hash, "train")
    return cut | dict.fromkeys(by_hash[:held_out], "validation") | dict.fromkeys(by_hash[:test], "test")


def _utterance(row: NumberedRow, folder: Path, splits: dict[str, Split]) -> RecordedUtterance:
    cells = row.cells
    return RecordedUtterance(
        dialogue=cells["dialogue"],
        turn=int(cells["turn"]),
        speaker=cells["speaker"],
        split=splits[cells["dialogue"]],
        label=cells["label"] or None,
        text=cells["text"] or None,
        audio=_clip(row, "audio", folder),
        video=_clip(row, "video", folder),
    )


def _clip(row: NumberedRow, kind: str, folder: Path) -> Clip | None:
    """Of the file of its own kind, or of the one that holds both."""
    cells = row.cells
    name = cells[kind] or cells["media"]
    if not name:
        return None
    region = REGIONS.get(cells["region"]) if kind == "video" else None
    return Clip(str(folder / name), time_of(cells, "start"), time_of(cells, "stop"), region)
