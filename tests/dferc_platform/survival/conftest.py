"""What the tests of survival share: a cluster of three nodes, studies, the same studies left alone."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from chaos.cluster import Cluster
from chaos.processes import wait_for
from chaos.rounds import alone
from chaos.seen import Trial, compare, read_trials
from chaos.study import Asked, Question, search_space

from dferc_platform.results import read_history

SECONDS = 300
"""Longest wait for a command on a busy machine; about 15 are usual."""
LEARNING = search_space({"name": "tpe", "seed": 3, "startup_trials": 1}, trials=3, epochs=40, concurrency=1)
"""Its third trial depends on what the first two have found."""


class Disturbed:
    """A study whose command is run, disturbed, and run again, and the same one left alone."""

    def __init__(self, asked: Asked, reference: dict[str, Trial]) -> None:
        self.asked, self.reference = asked, reference
        self.before: dict[str, list[dict[str, Any]]] = {}

    def begin(self) -> None:
        """Start, and return in the middle of the second trial."""
        self.asked.driver.start()
        wait_for(self._in_the_middle, f"the second trial: {self.asked.driver.said()[-2000:]}", SECONDS)
        self.before = {key: read_history(self._run(key)) for key in self.asked.epochs}

    def ends(self) -> int:
        """The exit code of the command, when it has ended."""
        return self.asked.driver.wait(SECONDS)

    def resume(self, *more: str) -> None:
        """Give the same command again, and see it end well."""
        self.asked.driver.kill()
        self.asked.driver.words += more
        self.asked.driver.start()
        assert self.ends() == 0, self.asked.driver.said()

    def assert_nothing_lost(self, repeated: int = 0) -> None:
        """All is as if nothing had been, and no more than so many epochs of a trial were trained again."""
        assert not compare(read_trials(self.asked.folder, self.asked.uri), self.reference)
        for key, lines in self.before.items():  # with their times: an epoch that is trained again takes another
            kept = lines[: len(lines) - repeated]
            assert read_history(self._run(key))[: len(kept)] == kept

    def _in_the_middle(self) -> bool:
        assert self.asked.driver.running, self.asked.driver.said()
        epochs = self.asked.epochs
        return len(epochs) == 2 and any(epochs[key] >= 3 for key in self.asked.training)

    def _run(self, key: str) -> Path:
        return self.asked.folder / "runs" / key


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A head, and two worker nodes with a CPU each."""
    with Cluster() as cluster:
        yield cluster


@pytest.fixture(scope="module")
def ask(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Asked]]:
    """Asks a question in a fresh folder: ``ask(question)``; ``uri`` names another MLflow than one in the folder."""
    home, opened = tmp_path_factory.mktemp("home"), []

    def asker(question: Question, results: Path | None = None, uri: str | None = None, **environment: str) -> Asked:
        place = results or tmp_path_factory.mktemp("results")
        log = home / f"{len(opened)}.log"
        asked = Asked(question, place, cluster.address, uri or f"sqlite:///{place}/mlflow.db", home, log)
        asked.driver.environment.update(environment)
        opened.append(asked)
        return asked

    yield asker
    for asked in opened:
        asked.driver.kill()


@pytest.fixture(scope="module")
def question(tiny_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Question:
    """A sweep that learns."""
    return Question.of_space("learning", LEARNING, tiny_corpus, tmp_path_factory.mktemp("spaces"))


@pytest.fixture(scope="module")
def undisturbed(ask: Callable[..., Asked], question: Question) -> dict[str, Trial]:
    """What the sweep finds when it is left alone."""
    return alone(ask(question))


@pytest.fixture
def disturb(ask: Callable[..., Asked], question: Question, undisturbed: dict[str, Trial]) -> Callable[..., Disturbed]:
    """The sweep, in the middle of its second trial."""

    def begun(**where: Any) -> Disturbed:
        disturbed = Disturbed(ask(question, **where), undisturbed)
        disturbed.begin()
        return disturbed

    return begun
