"""A comparison submitted by ``ray job submit`` to two nodes, one of which dies, equals the one on one machine."""

import csv
import subprocess
import sys
from pathlib import Path

import pytest
from chaos.cluster import Cluster
from chaos.processes import clean_environment, wait_for
from mlflow import MlflowClient

from dferc_platform.report.comparison import CONFIRMED, SEARCH, stage_folder
from dferc_platform.results import read_history, read_runs

pytestmark = pytest.mark.cluster

ROOT = Path(__file__).parents[3]
MODELS = ("bc_lstm", "df_erc")
NAME = "compare"
MEASURED = ("seconds", "memory")
"""Columns of the leaderboard that are of a machine, not of a model."""


def comparison(corpus: Path, results: Path) -> list[str]:
    """The command: two trials and a seed of each model, tiny."""
    return [
        "--results", str(results), "compare", "--name", NAME, "--corpus", str(corpus), "--models", ",".join(MODELS),
        "--trials", "2", "--seeds", "0", "--epochs", "12", "--small",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def local(tiny_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of the same comparison on this machine, left alone."""
    results = tmp_path_factory.mktemp("local")
    words = [sys.executable, "-m", "dferc_platform", *comparison(tiny_corpus, results)]
    ran = subprocess.run(words, env=clean_environment(), capture_output=True, text=True, check=False, timeout=400)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return results


def test_a_node_that_dies_changes_no_number_of_a_submitted_comparison(
    local: Path, tiny_corpus: Path, tmp_path: Path
) -> None:
    results = tmp_path / "cluster"
    with Cluster(cpus=(1, 1)) as cluster:
        environment = clean_environment(RAY_AUTH_MODE="disabled")
        words = [
            sys.executable, "-m", "ray.scripts.scripts", "job", "submit", "--address", cluster.dashboard,
            "--working-dir", "search_spaces", "--", sys.executable, "-m", "dferc_platform",
            *comparison(tiny_corpus, results),
        ]  # fmt: skip
        with (tmp_path / "job.log").open("wb") as log:
            job = subprocess.Popen(words, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            lost, survivor = cluster.nodes
            wait_for(lambda: lost.workers and any(map(has_begun, run_folders(results))), "a trial on each node")
            lost.kill()
            assert job.wait(timeout=400) == 0, (tmp_path / "job.log").read_text()
            assert survivor.running
            assert not lost.running
        finally:
            job.kill()
            job.wait()
    assert numbers(results) == numbers(local)
    assert leaderboard(results) == leaderboard(local)
    assert tracked(results) == tracked(local)


def run_folders(results: Path) -> list[Path]:
    return list(results.glob(f"{NAME}/*/*/runs/*"))


def has_begun(folder: Path) -> bool:
    return len(read_history(folder)) >= 2


def numbers(results: Path) -> list[tuple[object, ...]]:
    """All that each run has found, of both models, in their order."""
    found = []
    for model in MODELS:
        for stage in (SEARCH, CONFIRMED):
            for row in read_runs(stage_folder(results / NAME, model, stage)):
                losses = [line["train/loss/total"] for line in read_history(row.folder)]
                found.append((model, stage, row.key, row.number, row.status, row.varied, row.metrics, losses))
    assert len(found) == 6
    return found


def leaderboard(results: Path) -> list[dict[str, str]]:
    with (results / NAME / "report" / "table.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return [{name: text for name, text in row.items() if not any(word in name for word in MEASURED)} for row in rows]


def tracked(results: Path) -> list[tuple[str | None, str]]:
    """Key and status of every run in MLflow: each once, none RUNNING."""
    client = MlflowClient(f"sqlite:///{results / 'mlflow.db'}")
    runs = client.search_runs([e.experiment_id for e in client.search_experiments()])
    return sorted((run.data.tags.get("run_key") or run.data.tags["study"], run.info.status) for run in runs)
