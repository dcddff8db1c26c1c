"""The watch over a training that hangs; it ends a process, so each test is one of its own."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from dferc.errors import UserError
from dferc_platform.stall import FILE, has_hung, stall_minutes, watched
from dferc_platform.sweep.outcome import judge

TRAINING = """
import sys, time
from pathlib import Path
from dferc_platform.stall import watched
from dferc_platform.train import Silent

folder, epochs, hang = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "hang"

def an_epoch_that_hangs():
    time.sleep(600)

with watched(Silent(), folder / "stall.txt", minutes=0.5 / 60) as reporter:
    for _ in range(epochs):
        time.sleep(0.3)
        reporter.report({}, None)
    if hang:
        an_epoch_that_hangs()
print("done")
"""


def train(folder: Path, epochs: int, end: str) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-c", TRAINING, str(folder), str(epochs), end]
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)


def test_a_training_that_hangs_is_ended_and_says_where(tmp_path):
    ended = train(tmp_path, 1, "hang")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "an_epoch_that_hangs" in (tmp_path / FILE).read_text()
    assert has_hung(tmp_path)


def test_epochs_that_end_keep_it_alive(tmp_path):
    """Four epochs of 0.3 s outlast the limit of 0.5 s together, none of them alone."""
    assert train(tmp_path, 4, "end").stdout == "done\n"
    assert not (tmp_path / FILE).exists()
    assert not has_hung(tmp_path)


def test_one_of_several_workers_is_seen(tmp_path):
    (tmp_path / "stall-1.txt").write_text("Timeout (0:00:01)!")
    assert has_hung(tmp_path)


def test_a_slow_epoch_makes_the_watch_patient(tmp_path, monkeypatch):
    armed = []
    monkeypatch.setattr("faulthandler.dump_traceback_later", lambda limit, **_: armed.append(limit))
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    with watched(Quiet(), tmp_path / FILE, minutes=1) as reporter:
        for now[0] in (2, 50, 52):
            reporter.report({}, None)
    assert armed == [60, 60, 480, 480]


def test_zero_minutes_switch_it_off(tmp_path):
    quiet = Quiet()
    with watched(quiet, tmp_path / FILE, minutes=0) as reporter:
        assert reporter is quiet
    assert not (tmp_path / FILE).exists()


@pytest.mark.parametrize("text", ["soon", "-1", "inf", "nan"])
def test_a_strange_limit_is_refused(monkeypatch, text):
    monkeypatch.setenv("DFERC_STALL_MINUTES", text)
    with pytest.raises(UserError, match=f"DFERC_STALL_MINUTES={text}: give minutes"):
        stall_minutes()


def test_a_trial_that_was_ended_so_says_so(tmp_path):
    died = {"error": "the process of the trial died", "lasting": False}
    assert judge(tmp_path, died, "validation/weighted_f1").error == died["error"]
    (tmp_path / FILE).write_text("Timeout (0:00:01)!")
    outcome = judge(tmp_path, died, "validation/weighted_f1")
    assert "stall.txt in its run folder says where it hung" in outcome.error
    assert (outcome.status, outcome.lasting) == ("FAILED", False)


class Quiet:
    def report(self, metrics, checkpoint):
        pass
