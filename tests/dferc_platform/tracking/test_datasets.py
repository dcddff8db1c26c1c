"""Every run shows its corpus in MLflow's Dataset column, with what MLflow's own readers make of it."""

import json

import pytest

from dferc.corpus.summary import counts
from dferc_platform.tracking import sync
from dferc_platform.tracking.datasets import corpus_dataset
from dferc_platform.tracking.store import import_mlflow

FINGERPRINT = "0123456789abcdef" * 4


@pytest.fixture
def described(make_study, tmp_path, corpus):
    """A study folder that says what a real one says of its corpus."""
    card = corpus.card.model_dump(mode="json")
    changes = {"corpus": "corpora/mine.parquet", "fingerprint": FINGERPRINT, "card": card, "counts": counts(corpus)}
    return make_study(tmp_path / "described", "beta", **changes)


def dataset_of(run):
    (entry,) = run.inputs.dataset_inputs
    assert {tag.key: tag.value for tag in entry.tags} == {"mlflow.data.context": "training"}
    return entry.dataset


def test_a_run_and_its_study_show_the_corpus_once(described, make_scores, open_tracker, look, corpus):
    described.finished({"beta": 0.1, "seed": 0}, make_scores(60.0, 58.0))
    for _ in range(2):
        assert sync(described.folder, open_tracker()) == 1
    runs = look()
    assert len(runs) == 2
    dataset = dataset_of(runs["beta=0.1 seed=0"])
    assert dataset == dataset_of(runs["described"])
    assert (dataset.name, dataset.digest) == ("random", FINGERPRINT[:12])
    profile = json.loads(dataset.profile)
    assert profile["utterances"] == corpus.table.num_rows
    assert profile["train classes"] == dict(zip(corpus.card.labels, corpus.label_counts("train").tolist(), strict=True))
    assert profile["width of text"] == 6


def test_mlflow_reads_source_and_schema_back(described, make_scores, open_tracker, look):
    described.finished({"beta": 0.1, "seed": 0}, make_scores(60.0, 58.0))
    sync(described.folder, open_tracker())
    dataset = dataset_of(look()["beta=0.1 seed=0"])
    import mlflow.data
    from mlflow.types import Schema

    assert mlflow.data.get_source(dataset).uri == "corpora/mine.parquet"
    assert json.loads(dataset.source)["origin"] == "made by a test"
    columns = Schema.from_json(json.dumps(json.loads(dataset.schema)["mlflow_colspec"]))
    assert columns.input_names() == [
        "dialogue", "turn", "speaker", "label", "split", "text", "features.text", "features.audio", "features.visual"
    ]  # fmt: skip


def test_a_study_of_an_older_version_is_enough(study):
    dataset = corpus_dataset("s3://user:secret@bucket/meld.parquet", FINGERPRINT, study.study)
    assert (dataset.name, dataset.schema, dataset.profile) == ("meld", None, None)
    assert "secret" not in dataset.source
    assert corpus_dataset("synthetic", FINGERPRINT, None).name == "synthetic"


def test_what_is_sent_fits_into_mlflow(corpus, make_study, tmp_path):
    import_mlflow()
    from mlflow.utils.validation import MAX_DATASET_DIGEST_SIZE, MAX_DATASET_SCHEMA_SIZE

    card = corpus.card.model_dump(mode="json")
    study = make_study(tmp_path / "s", "beta", card=card, counts=counts(corpus)).study
    dataset = corpus_dataset("c.parquet", FINGERPRINT, study)
    assert len(dataset.digest) <= MAX_DATASET_DIGEST_SIZE
    assert len(dataset.schema) <= MAX_DATASET_SCHEMA_SIZE
