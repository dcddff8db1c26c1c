"""A sweep and a training of two workers whose driver shares nothing with the workers but an object store."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dferc_platform import storage
from dferc_platform.cli import app
from dferc_platform.cli.report import study_folder
from dferc_platform.config import make_config
from dferc_platform.results import read_history, read_outcome, read_result, read_runs
from dferc_platform.saved import open_corpus
from dferc_platform.spaces import SearchSpace
from dferc_platform.storage.remote import Remote
from dferc_platform.sweep import run_sweep
from dferc_platform.tracking import Tracker
from dferc_platform.train import train_run

pytestmark = pytest.mark.cluster

SMALL = {"epochs": 2, "batch_dialogues": 4, "warmup_steps": 2, "hidden": 8, "align": 8}
SPACE = {
    "model": "df_erc",
    "description": "two values",
    "sampler": {"name": "grid"},
    "settings": SMALL,
    "parameters": {"beta": {"kind": "categorical", "choices": [0.1, 0.4]}},
}
DRIVER = """
import json, sys
from dferc_platform.config import make_config
from dferc_platform.cluster import connect
from dferc_platform.fit import fit
from dferc_platform.results import results_folder
from dferc_platform.spaces import SearchSpace
from dferc_platform.sweep import run_sweep
from dferc_platform.tracking import Tracker

space, settings = map(json.loads, sys.argv[1:])
base = make_config(settings)
with connect():
    with Tracker("test") as tracker:
        run_sweep(SearchSpace.model_validate(space), base, results_folder() / "s", tracker)
    heard = []
    fit(base, results_folder() / "t" / "runs" / "k", workers=2, on_epoch=heard.append)
    assert [line["epoch"] for line in heard] == [1, 2], heard
"""


@pytest.fixture
def settings(uri, tiny_corpus):
    """A small training on a corpus that lies in the store."""
    Remote(uri).upload(tiny_corpus, "tiny.parquet")
    model = {"hidden": 8, "align": 6, "dropout": 0, "context_input_dropout": 0, "context_recurrent_dropout": 0}
    training = {"epochs": 2, "batch_dialogues": 4, "warmup_steps": 2}
    return {"corpus": f"{uri}/tiny.parquet", "model": model, "training": training}


def drive(cluster: str, uri: str, cache: Path, settings: dict[str, object]) -> str:
    """Run the driver on a machine of its own, whose nodes know how to reach the store; what it said."""
    access = {name: os.environ[name] for name in os.environ if name.startswith("AWS_")}
    nodes = {"runtime_env": {"env_vars": access}}
    own = {"DFERC_CACHE": str(cache), "DFERC_RESULTS": uri, "RAY_ADDRESS": cluster}
    own["RAY_JOB_CONFIG_JSON_ENV_VAR"] = json.dumps(nodes)
    command = [sys.executable, "-c", DRIVER, json.dumps(SPACE), json.dumps(settings)]
    done = subprocess.run(command, env={**os.environ, **own}, capture_output=True, text=True, timeout=550)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stderr


def test_machines_that_share_only_a_store_do_what_one_machine_does(
    ray_cluster, machine, uri, settings, tiny_corpus, tmp_path, monkeypatch
):
    said = drive(ray_cluster, uri, tmp_path / "driver", settings)
    assert "MLflow's database stays on this machine" in said
    assert "geheim" not in said

    reader = machine("reader")
    monkeypatch.setenv("DFERC_RESULTS", uri)
    rows = read_runs(study_folder("s"))
    base = make_config(settings | {"corpus": str(tiny_corpus)})
    with Tracker("test", f"sqlite:///{tmp_path}/mlflow.db") as tracker:
        alone = run_sweep(SearchSpace.model_validate(SPACE), base, tmp_path / "s", tracker)
    assert [(row.status, row.number, row.varied, row.metrics) for row in rows] == [
        (row.status, row.number, row.varied, row.metrics) for row in alone
    ]
    assert read_outcome(reader / "s")["status"] == "FINISHED"
    names = Remote(f"{uri}/s").list()
    assert not [name for name in names if "tune" in name or "mlflow" in name or ".lease" in name]

    storage.pull(reader / "t")
    together = reader / "t" / "runs" / "k"
    single = train_run(base, open_corpus(base.corpus), tmp_path / "single")
    assert read_result(together)["workers"] == 2
    assert read_result(together)["metrics"] == pytest.approx(single.metrics, abs=1e-3)
    assert len(read_history(together)) == 2

    shown = CliRunner().invoke(app, ["--results", uri, "report", "s"])
    assert shown.exit_code == 0, shown.output
    assert f"Kept at: {uri}/s/report/report.html" in shown.output
    assert Remote(f"{uri}/s/report").stamp("report.html")
