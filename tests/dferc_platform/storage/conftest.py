"""A real S3 server on loopback, and machines that share nothing but it: each has a cache folder of its own."""

import logging
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer
from pyarrow.fs import LocalFileSystem

from dferc_platform.storage import local_folder, remote
from dferc_platform.storage.remote import Remote
from dferc_platform.storage.uri import file_system

BUCKET = "lab"
ACCESS = {"AWS_ACCESS_KEY_ID": "someone", "AWS_SECRET_ACCESS_KEY": "geheim"}


class Store:
    """The server, which can go away and come back with all it had."""

    def __init__(self) -> None:
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self._server.start()
        _, self.port = self._server.get_host_and_port()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def go(self) -> None:
        self._server.stop()

    def come_back(self) -> None:
        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=self.port, verbose=False)
        self._server.start()


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    """An S3 server with one bucket, named to everybody by the usual variables."""
    made = Store()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**ACCESS, "AWS_ENDPOINT_URL": made.url}.items():
            patch.setenv(name, value)
        file_system.cache_clear()
        boto3.client("s3", region_name="us-east-1").create_bucket(Bucket=BUCKET)
        yield made
    made.go()
    file_system.cache_clear()


@pytest.fixture
def quick_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store for tests that make thousands of requests: a folder, for a file system of which a put is as atomic."""
    place = tmp_path / "store"

    def put(self: Remote, name: str, content: bytes) -> None:
        path = Path(self._path(name))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    monkeypatch.setattr(remote, "file_system", lambda uri: (LocalFileSystem(), f"{place}/{BUCKET}"))
    monkeypatch.setattr(Remote, "_put", put)
    monkeypatch.setattr(Remote, "require_bucket", lambda self: None)


@pytest.fixture
def uri(request: pytest.FixtureRequest) -> str:
    """Where results lie, for one test."""
    if "quick_store" not in request.fixturenames:
        request.getfixturevalue("store")
    return f"s3://{BUCKET}/{uuid.uuid4().hex}"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that does not answer is given up at once."""
    monkeypatch.setattr(remote, "PATIENCE", 0.0)
    monkeypatch.setattr(remote, "FIRST_PATIENCE", 0.0)


Machine = Callable[[str], Path]


@pytest.fixture
def machine(uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Go to a machine by name: the folder of the results there."""

    def go(name: str) -> Path:
        monkeypatch.setenv("DFERC_CACHE", str(tmp_path / name))
        return local_folder(uri)

    return go


class KilledError(BaseException):
    """The process is no more."""


@contextmanager
def killed_after(requests: int) -> Iterator[list[str]]:
    """SIGKILL after so many requests that change the store, as far as one can do it to oneself; what was changed."""
    done: list[str] = []

    def counted(what: str) -> Callable[..., None]:
        original = getattr(Remote, what)

        def act(self: Remote, *given: object) -> None:
            if len(done) >= requests:
                raise KilledError
            done.append(f"{what} {given[-1 if what == 'upload' else 0]}")
            original(self, *given)

        return act

    with pytest.MonkeyPatch.context() as patch:
        for what in ("write", "upload", "delete", "delete_folder"):
            patch.setattr(Remote, what, counted(what))
        yield done
