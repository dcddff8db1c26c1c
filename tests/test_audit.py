"""The audit of the lock finds a hole that is known, and is never taken for one where no list can be reached."""

import json
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

AUDIT = Path(__file__).parents[1] / ".ci" / "audit.py"
HOLE = {
    "id": "PYSEC-2026-1",
    "aliases": ["CVE-2026-1"],
    "details": "made up",
    "modified": "2026-01-01T00:00:00Z",
    "affected": [
        {
            "package": {"name": "jinja2", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "99.0"}]}],
        }
    ],
}


class List(BaseHTTPRequestHandler):
    """A list of holes that knows one, of jinja2, in OSV's form."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        found = {"vulns": [HOLE]} if asked["package"]["name"] == "jinja2" else {}
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(found).encode())

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


@pytest.fixture(scope="module")
def holes() -> Iterator[str]:
    """Address of a list of holes."""
    with ThreadingHTTPServer(("127.0.0.1", 0), List) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/v1/query"
        server.shutdown()


def audit(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, AUDIT, *options], capture_output=True, text=True, timeout=300, check=False)


def test_a_known_hole_fails_the_audit(holes: str) -> None:
    ran = audit("-s", "osv", "--osv-url", holes)
    assert ran.returncode == 1, ran.stderr
    assert "known holes: 1" in ran.stdout
    assert "jinja2" in ran.stdout
    assert "CVE-2026-1 (mended in 99.0)" in ran.stdout


def test_a_list_that_cannot_be_reached_is_no_good_audit() -> None:
    ran = audit("-s", "osv", "--osv-url", "http://127.0.0.1:9/v1/query")
    assert ran.returncode == 0
    assert ran.stdout.startswith("audit: SKIPPED, nothing was looked at: ")
    assert "no known holes" not in ran.stdout
