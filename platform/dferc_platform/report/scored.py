"""The test utterances of one model's runs: which they are, what is true of them, what every seed says of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from dferc.corpus.batch import NO_LABEL
from dferc.errors import UserError
from dferc_platform.results import RunRow


@dataclass(frozen=True)
class Scored:
    """N test utterances in order of dialogue and turn, as S seeds of one model see them."""

    dialogues: np.ndarray
    """[N] ids."""
    turns: np.ndarray
    """[N]"""
    labels: np.ndarray
    """[N] true classes, -1 where none is known."""
    predicted: np.ndarray
    """[S, N] classes."""
    speakers: np.ndarray | None
    """[N] names; None where the runs did not keep them."""
    seen: np.ndarray | None
    """[N] whether the speaker speaks in train, too; None where the runs did not keep it."""

    def same_utterances(self, other: "Scored") -> bool:
        """Whether both are about the same utterances, in the same order."""
        return np.array_equal(self.dialogues, other.dialogues) and np.array_equal(self.turns, other.turns)


def read_scored(runs: Sequence[RunRow]) -> Scored:
    """What the finished runs of a model say of test.

    Raises:
        UserError: they were not scored on the same utterances.
    """
    tables = [
        pq.read_table(run.folder / "predictions.parquet", filters=[("split", "=", "test")]).sort_by(
            [("dialogue", "ascending"), ("turn", "ascending")]
        )
        for run in runs
    ]
    first = tables[0]
    if any(not table.select(["dialogue", "turn"]).equals(first.select(["dialogue", "turn"])) for table in tables):
        raise UserError(f"{runs[0].folder.parent} holds runs that were not scored on the same utterances")
    return Scored(
        dialogues=np.array(first["dialogue"].to_pylist(), dtype=object),
        turns=first["turn"].to_numpy(),
        labels=first["label"].fill_null(NO_LABEL).to_numpy(),
        predicted=np.stack([table["predicted"].to_numpy() for table in tables]),
        speakers=_column(first, "speaker", object),
        seen=_column(first, "seen", bool),
    )


def require_same(scored: Mapping[str, Scored], reference: str) -> None:
    """Refuse models that were not scored on the utterances of the reference.

    Raises:
        UserError: one was not.
    """
    for model, of_model in scored.items():
        if not of_model.same_utterances(scored[reference]):
            raise UserError(f"{model} and {reference} were not scored on the same utterances")


def _column(table: pa.Table, name: str, kind: type) -> np.ndarray | None:
    return np.array(table[name].to_pylist(), dtype=kind) if name in table.column_names else None
