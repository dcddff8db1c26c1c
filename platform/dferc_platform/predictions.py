"""What a run says of every utterance that it was scored on, as a Parquet file."""

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dferc.corpus import Corpus
from dferc.corpus.store import atomic
from dferc.training import Evaluation


def write_predictions(path: Path, corpus: Corpus, evaluations: Mapping[str, Evaluation]) -> None:
    """Write a row an utterance: which it is, its label, the predicted class, a probability for each class.

    ``seen`` says whether its speaker speaks in train, too, so that a report needs nothing but this file.
    """
    train = pa.array(sorted(set(corpus.speakers[corpus.rows("train")])), pa.string())
    with atomic(path) as temporary:
        pq.write_table(pa.concat_tables([_table(corpus, e, train) for e in evaluations.values()]), temporary)


def _table(corpus: Corpus, evaluation: Evaluation, train: pa.Array) -> pa.Table:
    which = corpus.table.select(["dialogue", "turn", "speaker", "split", "label"]).take(pa.array(evaluation.rows))
    which = which.replace_schema_metadata(None)
    table = which.append_column("seen", pc.is_in(which["speaker"], train))
    table = table.append_column("predicted", pa.array(evaluation.probabilities.argmax(1), pa.int32()))
    for number, name in enumerate(corpus.card.labels):
        column = pa.array(evaluation.probabilities[:, number], pa.float32())
        table = table.append_column(f"probability.{name}", column)
    return table
