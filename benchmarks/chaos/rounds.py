"""One round: a study in a fresh folder, disturbed until it is done, and then compared."""

import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from chaos.faults import FAULTS, Scene
from chaos.processes import Marked
from chaos.seen import Differences, Trial, compare, read_trials
from chaos.study import Asked, Watched
from dferc_platform.results import is_study, read_runs

LONGEST = 900.0
"""Seconds after the last fault within which a study must be done; a hang is a loss."""
ATTEMPTS = 20
"""Times that the command is given again without a fault between."""


@dataclass
class Tally:
    """What has happened so far."""

    faults: Counter[str] = field(default_factory=Counter)
    rounds: int = 0
    trials: int = 0
    commands: int = 0
    again: int = 0
    """Epochs that were trained again."""
    differences: list[str] = field(default_factory=list)
    lost: int = 0
    duplicated: int = 0
    changed: int = 0

    def add(self, name: str, trials: int, found: Differences) -> None:
        """Count a round that is over."""
        self.rounds += 1
        self.trials += trials
        self.lost += len(found.lost)
        self.duplicated += len(found.duplicated)
        self.changed += len(found.changed)
        self.differences += [f"{name}: {sentence}" for sentence in (*found.lost, *found.duplicated, *found.changed)]


def disturbed(
    scene: Scene,
    reference: dict[str, Trial],
    tally: Tally,
    disturbing: Callable[[], bool],
    show: Callable[[str], None],
) -> Differences:
    """Run the study of the scene, break things as long as ``disturbing`` says so, and compare."""
    asked, until = scene.asked, time.monotonic() + LONGEST
    kinds = [name for name in FAULTS if scene.disk is not None or name != "disk full"]
    with _watching(Watched(asked), tally):
        asked.driver.start()
        tally.commands += 1
        attempts, strike_at = 0, time.monotonic() + scene.draw.uniform(4, 12)
        while not _done(asked):
            if not asked.driver.running:
                attempts += 1
                tally.commands += 1
                asked.driver.kill()  # what it may have left behind
                asked.driver.start()
            if attempts > ATTEMPTS or time.monotonic() > until:
                asked.driver.kill()
                return Differences(lost=[f"it is not done; the command said: {asked.driver.said()[-2000:]}"])
            if disturbing() and asked.training and time.monotonic() > strike_at:
                kind = scene.draw.choice(kinds)
                show(kind)
                if FAULTS[kind](scene):
                    tally.faults[kind] += 1
                show("")
                attempts, strike_at = 0, time.monotonic() + scene.draw.uniform(1, 12)
                until = time.monotonic() + LONGEST
            time.sleep(0.1)
    show("comparing")
    send_missed(asked)
    return compare(read_trials(asked.folder, asked.uri), reference)


def alone(asked: Asked) -> dict[str, Trial]:
    """The trials of a study that nothing disturbs."""
    finish(asked)
    return read_trials(asked.folder, asked.uri)


def finish(asked: Asked) -> None:
    """Run the command once, to a good end."""
    asked.driver.start()
    code = asked.driver.wait(LONGEST)
    if code or not _finished(asked.folder):
        raise RuntimeError(f"the command ended with {code}: {asked.driver.said()[-2000:]}")


def send_missed(asked: Asked) -> None:
    """Send what MLflow missed, where the command has asked for it."""
    if "dferc sync" not in asked.driver.said():
        return
    words = [sys.executable, "-m", "dferc_platform", "--results", str(asked.results), "sync", str(asked.folder)]
    code = Marked(words, asked.log, asked.driver.environment).start().wait(LONGEST)
    if code:
        raise RuntimeError(f"dferc sync ended with {code}: {asked.driver.said()[-1000:]}")


def _done(asked: Asked) -> bool:
    """Whether the command has ended well; a trial that failed is tried once more when the command is given again."""
    process = asked.driver.process
    return process is not None and process.poll() == 0 and _finished(asked.folder)


def _finished(folder: Path) -> bool:
    rows = read_runs(folder) if is_study(folder) else []
    return bool(rows) and all(row.status == "FINISHED" for row in rows)


class _watching:  # noqa: N801  # a context manager
    """Look at the histories while the block runs, and count what is trained again."""

    def __init__(self, watched: Watched, tally: Tally) -> None:
        self._watched, self._tally, self._over = watched, tally, threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()
        self._watched.look()
        self._tally.again += self._watched.again

    def _work(self) -> None:
        while not self._over.wait(0.05):
            self._watched.look()
