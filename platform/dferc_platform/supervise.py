"""A dferc command that is given again when its process dies: ``python -m dferc_platform.supervise -- sweep df_erc``.

It stands around the command of a job on the cluster, where nobody watches. Every command goes on where it stopped, so
what was killed (memory, a lost connection to the cluster) is simply the same command once more. It imports nothing
heavy: it lives as long as the job and is to take no memory.
"""

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

RETRIES = 2
PAUSE = 5.0
"""Seconds before the first retry; each later one waits three times as long, for what kills is often a busy hour."""
LASTING = (0, 2, 130)
"""Exit codes that a retry would only repeat: success, input to be mended, stopped by somebody."""
STOPS = (signal.SIGINT, signal.SIGTERM)
COMMAND = (sys.executable, "-m", "dferc_platform")


def supervise(command: Sequence[str], retries: int = RETRIES, pause: float = PAUSE) -> int:
    """Run a command, again when it dies; its last exit code, 128 + n where signal n killed it."""
    _hear()
    for attempt in range(retries + 1):
        code, stopped = _run(command)
        if stopped or code in LASTING:
            return code
        wait = pause * 3**attempt
        if attempt == retries:
            _say(f"the command {_how(code)}; it was tried {attempt + 1} times")
        else:
            _say(f"the command {_how(code)}; it goes on in {wait:g} s, retry {attempt + 1} of {retries}")
            if signal.sigtimedwait(STOPS, wait) is not None:
                return 130
    return code


def _run(command: Sequence[str]) -> tuple[int, bool]:
    """The exit code of the command, and whether it was told to stop."""
    with subprocess.Popen(command, preexec_fn=_as_usual) as child:  # no other thread is here
        stopped = False
        while child.poll() is None:
            told = signal.sigwaitinfo((*STOPS, signal.SIGCHLD))
            if told.si_signo != signal.SIGCHLD:
                stopped = True
                if not _reached_all(told):
                    child.send_signal(signal.SIGINT)  # what every command winds down on
    code = child.returncode
    return (128 - code if code < 0 else code), stopped


def _reached_all(told: signal.struct_siginfo) -> bool:
    """Whether the command has got this signal as well; a second one would cut its winding down short.

    A terminal interrupts all processes in front of it, Ray every process of the job that it stops.
    """
    return told.si_signo == signal.SIGINT and (told.si_pid == 0 or told.si_pid in _ancestors())


def _ancestors() -> Iterator[int]:
    process = os.getppid()
    while process > 0:
        yield process
        process = int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])


def _hear() -> None:
    """Signals wait until they are asked for; what started us may have had them ignored, as a shell's ``&`` does."""
    for number in (*STOPS, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_BLOCK, (*STOPS, signal.SIGCHLD))


def _as_usual() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (*STOPS, signal.SIGCHLD))


def _how(code: int) -> str:
    if code == 128 + signal.SIGKILL:
        return "was killed by SIGKILL, as happens when memory runs out"
    return f"was killed by {signal.Signals(code - 128).name}" if code > 128 else f"ended with exit code {code}"


def _say(line: str) -> None:
    print(f"dferc supervise: {line}", flush=True)


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m dferc_platform.supervise", description=__doc__)
    parser.add_argument("--retries", type=int, default=RETRIES, help="times that a command that died is given again")
    parser.add_argument("--pause", type=float, default=PAUSE, help="seconds before the first retry")
    parser.add_argument("arguments", nargs="+", help="the dferc command, after --")
    given = parser.parse_args()
    return supervise([*COMMAND, *given.arguments], given.retries, given.pause)


if __name__ == "__main__":
    sys.exit(main())
