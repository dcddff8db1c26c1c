"""Which addresses are taken, and what is said of those that are not."""

from pathlib import Path

import pytest

from dferc.errors import UserError
from dferc_platform.away import StoreAwayError
from dferc_platform.storage import is_uri, local_folder, remote, shown
from dferc_platform.storage.uri import as_path, file_system


@pytest.mark.parametrize(
    ("text", "expected"),
    [("/data/results", "/data/results"), ("file:///data/a%20b", "/data/a b"), ("file://localhost/data", "/data")],
)
def test_files_are_paths(text: str, expected: str) -> None:
    assert as_path(text) == Path(expected)
    assert local_folder(text) == Path(expected)
    assert shown(local_folder(text)) == expected


def test_a_path_is_no_uri() -> None:
    assert not is_uri("results")
    assert not is_uri("C:/results")
    assert is_uri("s3://lab/results")


@pytest.mark.parametrize(
    ("uri", "sentence"),
    [
        ("ftp://host/results", "ftp://host/results: write s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, or a path"),
        ("s3:///results", "names no bucket"),
        ("file://host/results", "a file URI has three slashes"),
        ("s3://lab/results?region=x", "credentials and settings do not belong into a URI"),
    ],
)
def test_other_addresses_are_refused(uri: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence.replace("?", r"\?")):
        local_folder(uri)


def test_credentials_in_a_uri_are_refused_and_not_said_again() -> None:
    with pytest.raises(UserError, match="credentials and settings do not belong") as refused:
        local_folder("s3://someone:geheim@lab/results")
    assert "geheim" not in str(refused.value)


def test_two_ways_to_write_the_same_have_one_working_copy(store) -> None:
    assert local_folder("s3://lab/results/") == local_folder("s3://lab/results")
    assert local_folder("s3://lab/results") != local_folder("s3://lab/others")
    assert shown(local_folder("s3://lab/results") / "beta") == "s3://lab/results/beta"


def test_a_bucket_that_is_not_there_is_named_with_its_place(store) -> None:
    with pytest.raises(UserError, match=f"there is no bucket nowhere at {store.url}: make it"):
        local_folder("s3://nowhere/results")


def test_refused_access_names_the_variables_and_shows_no_secret(store, machine, monkeypatch) -> None:
    def refused(*_: object) -> None:
        raise OSError("When uploading: AWS Error ACCESS_DENIED during PutObject operation: No response body.")

    copy = machine("a")
    monkeypatch.setattr(remote.Remote, "_put", refused)
    with pytest.raises(UserError, match=r"refuses access from .* check AWS_ACCESS_KEY_ID and") as error:
        remote.Remote(shown(copy)).write("x", b"")
    assert "geheim" not in str(error.value)


def test_a_store_that_does_not_answer_is_said_where_it_was_sought(monkeypatch, impatient, tmp_path) -> None:
    monkeypatch.setenv("DFERC_CACHE", str(tmp_path))
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    file_system.cache_clear()
    with pytest.raises(
        StoreAwayError, match=r"s3://lab/results at http://127.0.0.1:9 does not answer .*AWS_ENDPOINT_URL"
    ):
        local_folder("s3://lab/results")
    file_system.cache_clear()
