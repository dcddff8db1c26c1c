"""Downloads survive cut connections, changed files and liars; a file appears only when it is whole and right."""

import hashlib
import io
import re
import resource
import shutil
import tarfile
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from dferc.errors import UserError
from dferc_platform.cli import app
from dferc_platform.fetch import catalogue
from dferc_platform.fetch.catalogue import Item, What, meld_items
from dferc_platform.fetch.download import Downloaded, Patience, download
from dferc_platform.fetch.part import Part
from dferc_platform.fetch.web import refuse_address

pytestmark = pytest.mark.cluster
CONTENT = bytes(range(256)) * 4096
DIGEST = hashlib.sha256(CONTENT).hexdigest()
IMPATIENT = Patience(attempts=3, pause=0.01, timeout=0.3)


class Server(ThreadingHTTPServer):
    """Serves one content under every path, as badly as it is told to."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.etag, self.ranges, self.length = CONTENT, '"first"', True, True
        self.knows_if_range = True
        self.answers: list[int] = []
        """Codes of the next answers, before all is well."""
        self.cuts: list[int] = []
        """Bytes of the next bodies after which the connection is cut."""
        self.silences = 0
        """Next answers that never end."""
        self.location = ""
        self.headers: dict[str, str] = {}
        self.asked: list[str | None] = []
        """Ranges of the requests."""
        self.released = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        server = self.server
        wanted = self.headers.get("Range")
        server.asked.append(wanted)
        if server.answers:
            return self._refuse(server.answers.pop(0))
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        if not server.ranges or (server.knows_if_range and self.headers.get("If-Range") != server.etag):
            start = 0
        if start >= len(server.content):
            return self._refuse(416)
        return self._send(start)

    def _send(self, start: int) -> None:
        server, body = self.server, self.server.content[start:]
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(server.content) - 1}/{len(server.content)}")
        if server.length:
            self.send_header("Content-Length", str(len(body)))
        if server.etag:
            self.send_header("ETag", server.etag)
        self.end_headers()
        self.wfile.write(body[: server.cuts.pop(0)] if server.cuts else body)
        if server.silences:
            server.silences -= 1
            self.wfile.flush()
            server.released.wait(10)

    def _refuse(self, code: int) -> None:
        self.send_response(code)
        for name, value in self.server.headers.items():
            self.send_header(name, value)
        if self.server.location:
            self.send_header("Location", self.server.location)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.released.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def fetched(server: Server, tmp_path: Path) -> Callable[..., Downloaded]:
    def fetch(sha256: str | None = DIGEST, size: int | None = None) -> Downloaded:
        item = Item("file.bin", f"{server.url}/file.bin", sha256, size)
        return download(item, tmp_path, lambda *_: None, IMPATIENT)

    return fetch


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def refusal(fetch: Callable[..., Downloaded], **arguments: Any) -> str:
    with pytest.raises(UserError) as caught:
        fetch(**arguments)
    return str(caught.value)


def test_a_whole_file_arrives_and_nothing_else(server, fetched, tmp_path):
    done = fetched(size=len(CONTENT))
    assert done == Downloaded(tmp_path / "file.bin", DIGEST, fresh=True, verified=True)
    assert done.path.read_bytes() == CONTENT
    assert left(tmp_path) == ["file.bin"]
    assert not fetched().fresh
    assert server.asked == [None]


def test_a_cut_connection_goes_on_where_it_was_cut(server, fetched, tmp_path):
    server.cuts = [300_000, 200_000]
    assert fetched().path.read_bytes() == CONTENT
    assert server.asked == [None, "bytes=300000-", "bytes=500000-"]
    assert left(tmp_path) == ["file.bin"]


def test_another_process_goes_on_with_the_part(server, fetched, tmp_path):
    server.cuts = [300_000, 0, 0, 0]
    assert "300000 bytes that are here are kept" in refusal(fetched)
    assert left(tmp_path) == ["file.bin.part", "file.bin.part.json"]
    server.cuts = []
    assert fetched().path.read_bytes() == CONTENT
    assert server.asked[-1] == "bytes=300000-"


def test_a_part_that_was_whole_is_not_asked_for_again(server, fetched, tmp_path, monkeypatch):
    def stopped(part: Part) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Part, "keep", stopped)
        with pytest.raises(KeyboardInterrupt):
            fetched()
    assert fetched().path.read_bytes() == CONTENT
    assert server.asked == [None]


@pytest.mark.parametrize("knows_if_range", [True, False])
def test_a_file_that_changed_in_between_is_brought_anew(server, fetched, tmp_path, knows_if_range):
    server.cuts, server.knows_if_range = [300_000, 0, 0, 0], knows_if_range
    refusal(fetched, sha256=None)
    server.cuts, server.content, server.etag = [], CONTENT[::-1], '"second"'
    assert fetched(sha256=None).path.read_bytes() == CONTENT[::-1]


@pytest.mark.parametrize("etag", [None, 'W/"weak"'])
def test_a_file_without_a_version_is_never_pieced_together(server, fetched, etag):
    server.etag, server.cuts = etag, [300_000]
    assert fetched().path.read_bytes() == CONTENT
    assert server.asked == [None, None]


def test_a_server_without_ranges_begins_anew(server, fetched):
    server.ranges, server.cuts = False, [300_000]
    assert fetched().path.read_bytes() == CONTENT
    assert server.asked == [None, "bytes=300000-"]


def test_a_server_that_is_cut_at_the_same_byte_forever_is_given_up(server, fetched):
    server.ranges, server.cuts = False, [300_000] * 9
    assert "in 3 attempts: the connection broke after 300000 of 1048576 bytes" in refusal(fetched)


def test_a_wrong_hash_leaves_nothing(server, fetched, tmp_path):
    assert f"SHA-256 {DIGEST}, must be {'0' * 64}" in refusal(fetched, sha256="0" * 64)
    assert left(tmp_path) == []


def test_a_file_that_is_there_but_another_is_not_touched(server, fetched, tmp_path):
    (tmp_path / "file.bin").write_text("mine")
    assert "move it away" in refusal(fetched)
    assert (tmp_path / "file.bin").read_text() == "mine"
    assert server.asked == []


def test_a_hash_that_nobody_published_is_written_and_checked_the_next_time(server, fetched, tmp_path):
    assert not fetched(sha256=None).verified
    assert (tmp_path / "file.bin.sha256").read_text() == f"{DIGEST}  file.bin\n"
    (tmp_path / "file.bin").unlink()
    server.content = CONTENT[::-1]
    assert f"must be {DIGEST}" in refusal(fetched, sha256=None)


def test_no_such_file(server, fetched, tmp_path):
    server.answers = [404]
    assert "answers 404" in refusal(fetched)
    assert (left(tmp_path), len(server.asked)) == ([], 1)


@pytest.mark.parametrize("code", [500, 503, 429])
def test_a_server_in_trouble_is_asked_again(server, fetched, code):
    server.answers = [code]
    assert fetched().fresh
    server.answers = [code] * 3
    (fetched().path).unlink()
    assert f"in 3 attempts: {server.url}/file.bin answers {code}" in refusal(fetched)


def test_a_silent_server_is_left_after_the_time_out(server, fetched):
    server.cuts, server.silences = [300_000], 1
    assert fetched().path.read_bytes() == CONTENT
    assert server.asked == [None, "bytes=300000-"]


def test_nobody_answers(tmp_path):
    item = Item("file.bin", "http://127.0.0.1:9/file.bin")
    with pytest.raises(UserError, match=r"in 3 attempts: http://127\.0\.0\.1:9/file\.bin cannot be reached"):
        download(item, tmp_path, lambda *_: None, IMPATIENT)
    assert left(tmp_path) == []


def test_a_body_that_is_too_long_is_noticed(server, fetched, tmp_path):
    assert f"has {len(CONTENT)} bytes, must have 1000" in refusal(fetched, size=1000)
    server.length = False
    assert "brings more than 1000 bytes" in refusal(fetched, size=1000)
    assert left(tmp_path) == []


def test_a_body_of_unknown_length_needs_a_hash(server, fetched):
    server.length = False
    assert "give its --sha256" in refusal(fetched, sha256=None)
    assert fetched().path.read_bytes() == CONTENT


@pytest.mark.parametrize("location", ["file:///etc/hostname", "ftp://127.0.0.1/x", "data:,x"])
def test_redirections_stay_on_the_web(server, fetched, location):
    server.answers, server.location = [302], location
    assert re.search("must begin with http|not allowed", refusal(fetched))


def test_redirections_are_followed(server, fetched):
    server.answers, server.location = [301], f"{server.url}/elsewhere"
    assert fetched().path.read_bytes() == CONTENT


@pytest.mark.parametrize(
    "url", ["file:///etc/hostname", "ftp://host/x", "host/x", "http://", "http://me:secret@host/x"]
)
def test_other_addresses_are_refused_without_their_secrets(url):
    with pytest.raises(UserError, match="address") as caught:
        refuse_address(url)
    assert "secret" not in str(caught.value)


def test_a_full_disk_is_seen_beforehand_and_on_the_way(server, fetched, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(9, 9, 1000))
        assert "free space, or choose another folder" in refusal(fetched)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, hard))
    try:
        assert "file.bin.part cannot be written" in refusal(fetched)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert fetched().path.read_bytes() == CONTENT
    assert server.asked[-1] == "bytes=500000-"


def test_two_processes_do_not_write_one_part(server, fetched, tmp_path):
    with Part(tmp_path / "file.bin"):
        assert "another process is downloading" in refusal(fetched)


def dferc(*words: object, **environment: str) -> Any:
    return CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": "200", "TERM": "dumb", **environment})


@pytest.fixture
def small_meld(server, monkeypatch):
    """The three CSV files, each with the server's content."""
    rows = tuple((name, len(CONTENT), DIGEST) for name, _, _ in catalogue.MELD_CSV)
    monkeypatch.setattr(catalogue, "MELD_CSV", rows)
    return [name for name, _, _ in rows]


def test_command_fetches_meld(server, small_meld, tmp_path):
    shown = dferc("data", "fetch", "meld", "--to", tmp_path / "m", DFERC_FETCH_FROM=server.url)
    assert shown.exit_code == 0, shown.output
    assert left(tmp_path / "m") == sorted(small_meld)
    assert shown.output.count("as published") == 3
    assert shown.output.count("1.0 MB of 1.0 MB") == 3
    again = dferc("data", "fetch", "meld", "--to", tmp_path / "m", "--from", server.url)
    assert again.output.count("Was there already") == 3
    assert len(server.asked) == 3


def test_command_unpacks_the_recordings(server, tmp_path):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as made:
        made.addfile(tarfile.TarInfo("MELD.Raw/dia0_utt0.mp4"))
    server.content = packed.getvalue()
    words = ["data", "fetch", "meld", "--what", "raw", "--from", server.url, "--to", tmp_path, "--unpack"]
    shown = dferc(*words)
    assert shown.exit_code == 0, shown.output
    assert f"Unpacked {tmp_path / 'MELD.Raw'}" in shown.output
    assert (tmp_path / "MELD.Raw" / "dia0_utt0.mp4").is_file()
    assert hashlib.sha256(server.content).hexdigest() in (tmp_path / "MELD.Raw.tar.gz.sha256").read_text()
    assert "is there already" in dferc(*words).stderr


def test_a_plan_asks_nobody(server, tmp_path):
    shown = dferc("data", "fetch", "meld", "--what", "raw", "--from", server.url, "--to", tmp_path / "m", "--dry-run")
    assert f"Would download {server.url}/MELD.Raw.tar.gz" in shown.output
    assert "about 10 GB, no SHA-256 is published" in shown.output
    assert server.asked == []
    assert not (tmp_path / "m").exists()


def test_options_that_mean_nothing_are_refused():
    assert "for --what raw" in dferc("data", "fetch", "meld", "--unpack").stderr
    assert "64 hexadecimal digits" in dferc("data", "fetch", "meld", "--what", "raw", "--sha256", "12").stderr


def test_the_catalogue_is_pinned():
    items = meld_items(What.CSV)
    assert {item.url.split("/")[5] for item in items} == {catalogue.MELD_COMMIT}
    assert all(len(item.sha256 or "") == 64 and item.size for item in items)
    assert meld_items(What.RAW, sha256="AB")[0].sha256 == "ab"
