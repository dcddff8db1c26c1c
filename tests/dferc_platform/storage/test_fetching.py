"""A corpus by URI: fetched once a machine, whoever asks first, and anew when it changed."""

import threading

import boto3
import pytest

from dferc.errors import UserError
from dferc_platform.cli.options import absolute_corpus
from dferc_platform.saved import open_corpus
from dferc_platform.storage import fetched
from dferc_platform.storage.remote import Remote

from .conftest import BUCKET


@pytest.fixture
def there(uri, corpus, tmp_path):
    """The URI of a corpus."""
    Remote(uri).upload(corpus.save(tmp_path / "mine.parquet"), "corpora/mine.parquet")
    return f"{uri}/corpora/mine.parquet"


@pytest.fixture
def downloads(monkeypatch):
    """Names of what was downloaded."""
    original, names = Remote.download, []

    def counted(self: Remote, name: str, *rest: object) -> None:
        names.append(name)
        original(self, name, *rest)

    monkeypatch.setattr(Remote, "download", counted)
    return names


def test_a_corpus_by_uri_is_the_corpus(machine, there, corpus, downloads) -> None:
    machine("a")
    assert open_corpus(there).fingerprint == corpus.fingerprint
    assert open_corpus(there).fingerprint == corpus.fingerprint
    assert downloads == ["mine.parquet"]


def test_eight_that_ask_at_once_fetch_it_once(machine, there, downloads) -> None:
    machine("a")
    found = []
    asking = [threading.Thread(target=lambda: found.append(fetched(there))) for _ in range(8)]
    for one in asking:
        one.start()
    for one in asking:
        one.join()
    assert len(set(found)) == 1
    assert len(found) == 8
    assert downloads == ["mine.parquet"]


def test_a_corpus_that_was_replaced_is_fetched_anew(machine, there, uri, make_corpus, tmp_path, corpus) -> None:
    machine("a")
    other = make_corpus([2, 3, 4, 5, 6])
    before = open_corpus(there).fingerprint
    Remote(uri).upload(other.save(tmp_path / "other.parquet"), "corpora/mine.parquet")
    assert open_corpus(there).fingerprint == other.fingerprint != before


def test_an_object_that_is_not_there_is_named(machine, uri) -> None:
    machine("a")
    with pytest.raises(UserError, match=f"there is no file at {uri}/none.parquet"):
        open_corpus(f"{uri}/none.parquet")


def test_a_bucket_that_is_not_there_is_named(store) -> None:
    with pytest.raises(UserError, match="there is no bucket nowhere"):
        open_corpus("s3://nowhere/mine.parquet")


def test_an_object_at_the_top_of_a_bucket(machine, corpus, tmp_path) -> None:
    machine("a")
    file = corpus.save(tmp_path / "top.parquet")
    boto3.client("s3", region_name="us-east-1").upload_file(str(file), BUCKET, "top.parquet")
    assert open_corpus(f"s3://{BUCKET}/top.parquet").fingerprint == corpus.fingerprint


def test_a_file_uri_is_a_path(corpus, tmp_path) -> None:
    file = corpus.save(tmp_path / "mine.parquet")
    assert open_corpus(file.as_uri()).fingerprint == corpus.fingerprint
    assert absolute_corpus(file.as_uri()) == str(file)


def test_a_uri_means_the_same_in_every_folder() -> None:
    assert absolute_corpus("s3://lab/mosi.parquet") == "s3://lab/mosi.parquet"
