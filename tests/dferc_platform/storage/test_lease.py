"""One driver at a time, on all machines together."""

import json
import os
import subprocess
import threading
import time

import pytest

from dferc.errors import UserError
from dferc_platform.storage import lease, leased, publish
from dferc_platform.storage.lease import Holder, Lease
from dferc_platform.storage.remote import Remote

from .runs import put


@pytest.fixture
def hasty(monkeypatch):
    monkeypatch.setattr(lease, "RENEW", 0.1)
    monkeypatch.setattr(lease, "STALE", 2.0)
    monkeypatch.setattr(lease, "LOOK", 0.05)


def written(uri, **about):
    """A lease that somebody left."""
    known = {"id": "someone", "host": "elsewhere", "process": 1, "machine": "another", "renewed": 0} | about
    Remote(f"{uri}/s").write(lease.FILE, json.dumps(known).encode())


def test_an_ordinary_folder_needs_no_lease(tmp_path) -> None:
    with leased(tmp_path):
        assert list(tmp_path.iterdir()) == []


def test_a_lease_is_there_while_it_is_held_and_gone_afterwards(machine, uri) -> None:
    with leased(machine("a") / "s"):
        held = Holder(**json.loads(Remote(f"{uri}/s").read(lease.FILE)))
        assert held.process == os.getpid()
    assert Remote(f"{uri}/s").list() == {}


def test_a_study_that_is_driven_elsewhere_is_refused_with_its_holder(machine, uri, hasty) -> None:
    with (
        leased(machine("a") / "s"),
        pytest.raises(UserError, match=rf"{uri}/s is in use by process {os.getpid()} on .*: wait for it, or stop it"),
        leased(machine("b") / "s"),
    ):
        pass


def test_a_holder_that_is_heard_of_no_more_is_taken_over_from(machine, uri, hasty, caplog) -> None:
    written(uri)
    began = time.monotonic()
    with leased(machine("a") / "s"):
        assert json.loads(Remote(f"{uri}/s").read(lease.FILE))["id"] != "someone"
    assert time.monotonic() - began < 30
    assert "s was in use by process 1 on elsewhere: it is taken over unless that is heard of in 2 s" in caplog.text


def test_a_dead_process_of_this_machine_is_not_waited_for(machine, uri, monkeypatch) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    written(uri, process=gone.pid, machine=lease._machine())
    monkeypatch.setattr(lease.time, "sleep", lambda _: pytest.fail("it was waited for"))
    with leased(machine("a") / "s"):
        pass


def test_a_driver_that_was_taken_over_from_writes_no_more(machine, uri) -> None:
    study = machine("a") / "s"
    with leased(study):
        put(study / "ledger.jsonl", "one\n")
        publish(study / "ledger.jsonl")
        written(uri)
        put(study / "ledger.jsonl", "one\ntwo\n")
        with pytest.raises(UserError, match="was taken over by process 1 on elsewhere: this driver stops"):
            publish(study / "ledger.jsonl")
    assert Remote(f"{uri}/s").read("ledger.jsonl") == b"one\n"
    assert Remote(f"{uri}/s").read(lease.FILE)  # that of the other


def test_a_lease_is_renewed_until_it_is_let_go(machine, uri, hasty) -> None:
    with leased(machine("a") / "s"):
        until = time.monotonic() + 60
        while json.loads(Remote(f"{uri}/s").read(lease.FILE))["renewed"] < 3:
            assert time.monotonic() < until
            time.sleep(0.02)
    assert not [thread for thread in threading.enumerate() if thread.name == "lease"]


def test_an_unreadable_lease_is_none(machine, uri) -> None:
    Remote(f"{uri}/s").write(lease.FILE, b"{")
    Lease(Remote(f"{uri}/s"), "s").require()
    with leased(machine("a") / "s"):
        pass
