"""A command that is given again when its process dies, tried with commands of one line."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dferc_platform import supervise

SECONDS = 60

DIES_ONCE = """
import os, sys
from pathlib import Path
mark = Path(sys.argv[1])
if not mark.exists():
    mark.touch()
    os.kill(os.getpid(), 9)
print("done")
"""
WINDS_DOWN = """
import signal, sys, time
from pathlib import Path
place, told = Path(sys.argv[1]), []
signal.signal(signal.SIGINT, lambda number, frame: told.append(number))
(place / "ready").touch()
while not told:
    time.sleep(0.01)
time.sleep(0.5)  # a second signal would be heard by now
(place / "told").write_text(str(len(told)))
sys.exit(130)
"""
AROUND = """
import sys
from dferc_platform.supervise import supervise
sys.exit(supervise(sys.argv[3:], int(sys.argv[1]), float(sys.argv[2])))
"""


def around(*command: str | Path, retries: int = 2, pause: float = 0.05, **how: object) -> subprocess.Popen[str]:
    """A supervisor around a Python command, in a process of its own because signals are of a process."""
    words = [sys.executable, "-c", AROUND, str(retries), str(pause), sys.executable, "-c", *map(str, command)]
    sources = Path(supervise.__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": str(sources)}
    return subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment, **how)  # type: ignore[call-overload,no-any-return]


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + SECONDS
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} never came"
        time.sleep(0.01)


def test_what_was_killed_is_given_again(tmp_path: Path) -> None:
    ran = around(DIES_ONCE, tmp_path / "mark")
    said, _ = ran.communicate(timeout=SECONDS)
    assert ran.returncode == 0
    assert "was killed by SIGKILL" in said
    assert "it goes on in 0.05 s, retry 1 of 2" in said
    assert said.endswith("done\n")


def test_after_the_last_retry_its_code_is_ours() -> None:
    ran = around("import os; os.kill(os.getpid(), 9)", retries=1)
    said, _ = ran.communicate(timeout=SECONDS)
    assert ran.returncode == 128 + signal.SIGKILL
    assert said.count("was killed by SIGKILL") == 2
    assert "it was tried 2 times" in said


def test_pauses_grow() -> None:
    ran = around("raise SystemExit(1)", pause=0.01)
    said, _ = ran.communicate(timeout=SECONDS)
    assert ran.returncode == 1
    assert "ended with exit code 1; it goes on in 0.01 s, retry 1 of 2" in said
    assert "it goes on in 0.03 s, retry 2 of 2" in said


@pytest.mark.parametrize("code", supervise.LASTING)
def test_what_a_retry_would_only_repeat_is_not_tried_again(code: int) -> None:
    ran = around(f"print('here'); raise SystemExit({code})")
    said, _ = ran.communicate(timeout=SECONDS)
    assert (ran.returncode, said) == (code, "here\n")


def interrupt_all(ran: subprocess.Popen[str]) -> None:
    """As Ray stops a job: every process of it, from above."""
    children = Path(f"/proc/{ran.pid}/task/{ran.pid}/children").read_text().split()
    for process in (ran.pid, *map(int, children)):
        os.kill(process, signal.SIGINT)


def interrupt_one(ran: subprocess.Popen[str]) -> None:
    """As somebody does who is no parent of ours."""
    subprocess.run(["sh", "-c", f"kill -INT {ran.pid}"], check=True)


def terminate_one(ran: subprocess.Popen[str]) -> None:
    ran.terminate()


@pytest.mark.parametrize("stop", [interrupt_all, interrupt_one, terminate_one])
def test_the_command_is_told_once_to_stop_and_winds_down(stop, tmp_path: Path) -> None:
    ran = around(WINDS_DOWN, tmp_path)
    wait_for(tmp_path / "ready")
    stop(ran)
    said, _ = ran.communicate(timeout=SECONDS)
    assert (ran.returncode, said) == (130, "")
    assert (tmp_path / "told").read_text() == "1"


def test_signals_are_heard_where_a_shell_has_them_ignored(tmp_path: Path) -> None:
    ran = around(WINDS_DOWN, tmp_path, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
    wait_for(tmp_path / "ready")
    interrupt_all(ran)
    assert ran.wait(SECONDS) == 130


def test_a_stop_while_it_waits_ends_it(tmp_path: Path) -> None:
    ran = around(DIES_ONCE, tmp_path / "mark", pause=SECONDS)
    assert ran.stdout is not None
    assert "goes on in" in ran.stdout.readline()
    ran.send_signal(signal.SIGINT)
    assert ran.wait(SECONDS / 2) == 130
