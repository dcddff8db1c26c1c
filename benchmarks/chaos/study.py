"""The studies that are disturbed: a command that is given until it is done, and a look at what trains meanwhile."""

import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import yaml

from chaos.processes import SOURCES, Marked, clean_environment, free_ports, wait_for
from dferc_platform.results import read_history

SMALL = {"batch_dialogues": 4, "warmup_steps": 2, "hidden": 8, "align": 8}
VARIED = {
    "beta": {"kind": "float", "low": 0.01, "high": 1.0, "log": True},
    "learning_rate": {"kind": "float", "low": 1e-4, "high": 1e-2, "log": True},
}


def search_space(sampler: Mapping[str, Any], trials: int, epochs: int, concurrency: int) -> dict[str, Any]:
    """A small space; ``sampler`` is its section of that name."""
    return {
        "model": "df_erc",
        "description": "small enough to be tried again and again",
        "sampler": dict(sampler),
        "budget": {"trials": trials},
        "concurrency": concurrency,
        "settings": SMALL | {"epochs": epochs, "patience": epochs},
        "parameters": VARIED,
    }


@dataclass(frozen=True)
class Question:
    """What is asked: a name, and the words of the command that answers it."""

    name: str
    words: tuple[str, ...]

    @classmethod
    def of_space(cls, name: str, space: Mapping[str, Any], corpus: Path, folder: Path) -> "Question":
        """A sweep over a space, which is written to the folder."""
        path = folder / f"{name}.yaml"
        path.write_text(yaml.safe_dump(dict(space)), encoding="utf-8")
        return cls(name, ("sweep", str(path), "--corpus", str(corpus), "--name", name))


class Asked:
    """A question whose command runs, on a cluster, with results in a folder and tracking at a URI."""

    def __init__(self, question: Question, results: Path, cluster: str, uri: str, home: Path, log: Path) -> None:
        self.question, self.results, self.uri, self.log = question, results, uri, log
        environment = clean_environment(
            RAY_ADDRESS=cluster,
            MLFLOW_TRACKING_URI=uri,
            MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false",
            HOME=str(home),
            DFERC_CACHE=str(home / "cache"),
            PYTHONPATH=SOURCES,
        )
        self.driver = Marked(
            [sys.executable, "-m", "dferc_platform", "--results", str(results), *question.words], log, environment
        )

    @property
    def folder(self) -> Path:
        """Of the study."""
        return self.results / self.question.name

    @property
    def training(self) -> dict[str, psutil.Process]:
        """The process of each run that trains now, by key: the one that holds the run's lock."""
        found = {}
        for lock in self.folder.glob("runs/*/.lock"):
            try:
                holder = psutil.Process(int(lock.read_text(encoding="utf-8").split()[0]))
                if not (lock.parent / "result.json").exists() and holder.cmdline()[0].startswith("ray::"):
                    found[lock.parent.name] = holder
            except (OSError, IndexError, ValueError, psutil.Error):  # it has just ended
                continue
        return found

    @property
    def epochs(self) -> Counter[str]:
        """Epochs that each run has behind it."""
        return Counter({path.parent.name: len(read_history(path.parent)) for path in self._histories()})

    def _histories(self) -> Iterator[Path]:
        return self.folder.glob("runs/*/history.jsonl")


@dataclass
class Watched:
    """Notices epochs that are trained again: their line comes back with another time."""

    asked: Asked
    again: int = 0
    _lines: dict[tuple[str, int], float] = field(default_factory=dict)

    def look(self) -> None:
        """Look once; often, or something is missed."""
        for path in self.asked.folder.glob("runs/*/history.jsonl"):
            for line in read_history(path.parent):
                name, took = (path.parent.name, int(line["epoch"])), line["epoch_seconds"]
                self.again += self._lines.setdefault(name, took) != took
                self._lines[name] = took


class Server:
    """An MLflow server on loopback, which can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (self.port,) = free_ports(1)
        self.uri = f"http://127.0.0.1:{self.port}"
        words = ["--host", "127.0.0.1", "--port", str(self.port), "--workers", "1"]
        words += ["--backend-store-uri", f"sqlite:///{folder}/server.db", "--artifacts-destination", f"{folder}/kept"]
        quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
        self.process = Marked(
            [sys.executable, "-m", "mlflow", "server", *words], folder / "log", clean_environment(**quiet), folder
        )

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self.process.start()
        wait_for(self.answers, "MLflow's server")

    def answers(self) -> bool:
        """Whether it is well."""
        if not self.process.running:
            raise RuntimeError(f"MLflow's server ended: {self.process.said()[-500:]}")
        import urllib.error
        import urllib.request

        try:
            with urllib.request.urlopen(f"{self.uri}/health", timeout=2) as reply:  # noqa: S310
                return bool(reply.status == 200)
        except (urllib.error.URLError, OSError):
            return False
