import numpy as np
import pyarrow.parquet as pq

from dferc.corpus import Corpus
from dferc.training import Evaluation
from dferc_platform.predictions import write_predictions


def test_predictions_say_who_speaks_and_whether_train_knows_the_speaker(tiny_corpus, tmp_path):
    corpus = Corpus.open(tiny_corpus)
    rows = corpus.rows("test")
    probabilities = np.random.default_rng(0).dirichlet(np.ones(len(corpus.card.labels)), len(rows))
    write_predictions(tmp_path / "p.parquet", corpus, {"test": Evaluation(rows, probabilities, {}, {})})
    table = pq.read_table(tmp_path / "p.parquet").to_pydict()
    known = set(corpus.speakers[corpus.rows("train")])
    assert table["speaker"] == corpus.speakers[rows].tolist()
    assert table["seen"] == [speaker in known for speaker in table["speaker"]]
    assert table["predicted"] == probabilities.argmax(1).tolist()
