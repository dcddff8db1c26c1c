"""What a corpus is: one row an utterance, frozen splits, named labels, fixed-size vectors a modality.

Columns of the Arrow table
    dialogue  string              id of the dialogue, unique over the whole corpus
    turn      int32               position inside the dialogue; gaps are allowed, order is what counts
    speaker   string              who speaks, the same name for the same person
    label     int32, null = none  index into ``CorpusCard.labels``
    split     string              train, validation or test; one a dialogue
    text      string, null = none the transcript
    features.M  fixed_size_list<float32>[width], null = modality missing, for each modality M
    truth.*   any                 what a generator knows about an utterance; never shown to a model
    extraction.M  struct<extractor, note>  which extractor made an utterance's vector of modality M, and what it met
"""

import hashlib
import json
from collections.abc import Iterable
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dferc.errors import UserError

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")
FEATURES = "features."
TRUTH = "truth."
EXTRACTION = "extraction."
EXTRACTION_TYPE = pa.struct([pa.field("extractor", pa.string()), pa.field("note", pa.string())])
CARD_KEY = b"dferc.corpus"

BASE_SCHEMA = pa.schema(
    [
        pa.field("dialogue", pa.string(), nullable=False),
        pa.field("turn", pa.int32(), nullable=False),
        pa.field("speaker", pa.string(), nullable=False),
        pa.field("label", pa.int32()),
        pa.field("split", pa.string(), nullable=False),
        pa.field("text", pa.string()),
    ]
)


class Scaling(BaseModel):
    """How raw numbers became a modality's vectors: ``clip((raw - mean) / scale)``, so that others can follow."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mean: tuple[float, ...] = Field(description="of the train utterances, one a number, computed in float64")
    scale: tuple[float, ...] = Field(description="standard deviation of the train utterances; 1 where they are equal")
    clip: float = Field(gt=0, description="largest magnitude kept, in standard deviations")


class Modality(BaseModel):
    """Where the vectors of one modality come from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    width: int = Field(gt=0, description="numbers in one vector")
    extractor: str = Field(description="what made the vectors, with its version")
    parameters: dict[str, str | int | float | bool | None] = Field(
        default_factory=dict, description="settings of the extractor; empty where others made the vectors"
    )
    weights: str | None = Field(default=None, description="SHA-256 of the extractor's weights, where it has any")
    hub: str | None = Field(default=None, description="name of the weights where they can be downloaded")
    scaling: Scaling | None = Field(default=None, description="standardisation that was applied to raw numbers")

    @property
    def identity(self) -> str:
        """The extractor with its settings and weights in one line, as every row that it made records it."""
        settings = [f"{name}={json.dumps(value)}" for name, value in sorted(self.parameters.items())]
        return "; ".join([self.extractor, *settings, *([f"weights sha256:{self.weights}"] if self.weights else [])])

    @property
    def key(self) -> str:
        """Hash of all that decides what a vector's numbers mean, the standardisation included."""
        return hashlib.sha256(self.model_dump_json(exclude={"hub"}).encode()).hexdigest()[:16]


class CorpusCard(BaseModel):
    """What a corpus says of itself; kept in the schema metadata of its table."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    labels: tuple[str, ...] = Field(min_length=2, description="class names; a label is an index into them")
    modalities: dict[str, Modality] = Field(
        description="modality name to its vectors; may be empty for a text-only corpus"
    )
    source: str = Field(description="where the data came from, precise enough to get it again")
    licence: str = Field(description="what the data may be used for")
    split_note: str = Field(description="how the splits were made")
    speaker_note: str = Field(default="", description="what a speaker's name means, where it is less than a person")
    files: dict[str, str] = Field(default_factory=dict, description="file it was made from to the SHA-256 of its bytes")
    repairs: tuple[str, ...] = Field(default=(), description="what was mended on the way, a sentence each")

    def as_json(self) -> bytes:
        """The card as it is stored; what it leaves at its default is not in it."""
        return self.model_dump_json(exclude_defaults=True).encode()

    def in_brief(self) -> dict[str, Any]:
        """The card as a JSON value without the thousands of numbers of its standardisations."""
        bulk = {name: {"scaling": {"mean", "scale"}} for name in self.modalities}
        return self.model_dump(mode="json", exclude={"modalities": bulk})

    @property
    def widths(self) -> dict[str, int]:
        """Width of each modality's vector."""
        return {name: modality.width for name, modality in self.modalities.items()}


def corpus_schema(
    card: CorpusCard, truth: dict[str, pa.DataType] | None = None, extraction: Iterable[str] = ()
) -> pa.Schema:
    """The schema that a table of this card has, with the card in its metadata.

    Args:
        card: what the corpus says of itself.
        truth: what a generator knows of each utterance, and its type.
        extraction: modalities whose rows say which extractor made them.
    """
    fields = list(BASE_SCHEMA)
    fields += [pa.field(FEATURES + name, pa.list_(pa.float32(), width)) for name, width in card.widths.items()]
    fields += [pa.field(TRUTH + name, kind) for name, kind in (truth or {}).items()]
    fields += [pa.field(EXTRACTION + name, EXTRACTION_TYPE) for name in extraction]
    return pa.schema(fields, metadata={CARD_KEY: card.as_json()})


def vector_array(vectors: np.ndarray, present: np.ndarray | None = None) -> pa.Array:
    """Rows of ``vectors`` [N, D] as a fixed-size-list array; rows where ``present`` [N] is false become null."""
    values = pa.array(np.ascontiguousarray(vectors, dtype=np.float32).reshape(-1))
    mask = None if present is None else pa.array(~np.asarray(present, dtype=bool))
    return pa.FixedSizeListArray.from_arrays(values, vectors.shape[1], mask=mask)


def read_card(table: pa.Table, where: str) -> CorpusCard:
    """The card in a table's metadata."""
    raw = (table.schema.metadata or {}).get(CARD_KEY)
    if raw is None:
        raise UserError(
            f"{where} is a Parquet file but no corpus: make one with `dferc data make` or `dferc data import`"
        )
    try:
        return CorpusCard.model_validate_json(raw)
    except ValidationError as error:
        raise UserError.collected(
            f"the corpus card of {where}",
            (f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()),
        ) from None


def validate(table: pa.Table, card: CorpusCard, where: str) -> None:
    """Refuse a table that breaks the contract, naming every problem at once."""
    problems = _schema_problems(table, card)
    if not problems:
        problems = _row_problems(table) + _split_problems(table) + _turn_problems(table)
        problems += _empty_problems(table, card) + _label_problems(table, card) + _vector_problems(table, card)
    if problems:
        raise UserError.collected(where, problems)


def _schema_problems(table: pa.Table, card: CorpusCard) -> list[str]:
    problems = []
    recorded = [name for name in card.modalities if EXTRACTION + name in table.schema.names]
    expected = corpus_schema(card, extraction=recorded)
    for field in expected:
        if field.name not in table.schema.names:
            problems.append(f"column {field.name} is missing")
        elif table.schema.field(field.name).type != field.type:
            problems.append(f"column {field.name} is {table.schema.field(field.name).type}, must be {field.type}")
    known = set(expected.names)
    problems += [
        f"column {name} is unknown; extra columns must start with {TRUTH} or be {EXTRACTION}MODALITY"
        for name in table.schema.names
        if name not in known and not name.startswith(TRUTH)
    ]
    return problems


def _row_problems(table: pa.Table) -> list[str]:
    problems = []
    if table.num_rows == 0:
        problems.append("there is no utterance in it")
    for column in ("dialogue", "turn", "speaker", "split"):
        if table[column].null_count:
            problems.append(f"column {column} has {table[column].null_count} empty cells")
    return problems


def _split_problems(table: pa.Table) -> list[str]:
    strange = [split for split in pc.unique(table["split"]).to_pylist() if split is not None and split not in SPLITS]
    problems = [f"split {split!r} is none of {', '.join(SPLITS)}" for split in strange]
    pairs = table.select(["dialogue", "split"]).group_by(["dialogue", "split"]).aggregate([])
    counts = pairs.group_by("dialogue").aggregate([("split", "count")])
    overlapping = counts.filter(pc.greater(counts["split_count"], 1))["dialogue"]
    if len(overlapping):
        first = pc.min(overlapping).as_py()
        problems.append(f"splits overlap: {len(overlapping)} dialogues are in more than one, the first is {first!r}")
    return problems


def _turn_problems(table: pa.Table) -> list[str]:
    turns = table.select(["dialogue", "turn"]).group_by(["dialogue", "turn"]).aggregate([([], "count_all")])
    repeated = turns.filter(pc.greater(turns["count_all"], 1)).slice(0, 1).to_pylist()
    return [f"turn {row['turn']} of dialogue {row['dialogue']!r} occurs {row['count_all']} times" for row in repeated]


def _empty_problems(table: pa.Table, card: CorpusCard) -> list[str]:
    """Dialogues in which no utterance has a text or a vector."""
    content = pc.greater(pc.utf8_length(pc.fill_null(table["text"], "")), 0)
    for name in card.modalities:
        content = pc.or_(content, table[FEATURES + name].is_valid())
    found = (
        table.select(["dialogue"])
        .append_column("content", content)
        .group_by("dialogue")
        .aggregate([("content", "any")])
    )
    empty = found.filter(pc.invert(found["content_any"]))["dialogue"]
    if not len(empty):
        return []
    first = pc.min(empty).as_py()
    return [f"{len(empty)} dialogues are empty, without a text or a vector in any utterance: the first is {first!r}"]


def _label_problems(table: pa.Table, card: CorpusCard) -> list[str]:
    labels = table["label"]
    outside = pc.or_kleene(pc.less(labels, 0), pc.greater_equal(labels, len(card.labels)))
    bad = table.filter(pc.fill_null(outside, False))
    if not bad.num_rows:
        return []
    row = bad.slice(0, 1).select(["dialogue", "turn", "label"]).to_pylist()[0]
    return [
        f"{bad.num_rows} labels are outside the list of {len(card.labels)} ({', '.join(card.labels)}): "
        f"the first is {row['label']} at turn {row['turn']} of dialogue {row['dialogue']!r}"
    ]


def _vector_problems(table: pa.Table, card: CorpusCard) -> list[str]:
    problems = []
    for name in card.modalities:
        column = table[FEATURES + name].combine_chunks()
        values = column.flatten()
        if values.null_count:
            problems.append(f"{FEATURES}{name} has {values.null_count} empty numbers inside its vectors")
        finite = np.isfinite(values.to_numpy(zero_copy_only=False))
        if not finite.all():
            row = int(np.flatnonzero(column.is_valid())[int(np.flatnonzero(~finite)[0]) // card.widths[name]])
            at = table.slice(row, 1).select(["dialogue", "turn"]).to_pylist()[0]
            problems.append(
                f"{FEATURES}{name} has {int((~finite).sum())} numbers that are NaN or infinite, "
                f"the first at turn {at['turn']} of dialogue {at['dialogue']!r}"
            )
    return problems
