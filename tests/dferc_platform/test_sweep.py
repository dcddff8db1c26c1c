import os
import signal
import threading
import time

import pyarrow.parquet as pq
import pytest

from dferc.corpus.synthetic import SyntheticConfig, generate
from dferc.errors import UserError
from dferc_platform.config import make_config
from dferc_platform.results import read_history
from dferc_platform.spaces import Budget, SearchSpace
from dferc_platform.sweep import Resources, run_sweep
from dferc_platform.sweep.resources import room
from dferc_platform.tracking import Tracker

BETA = {"beta": {"kind": "float", "low": 0.01, "high": 1.0, "log": True}}
SMALL = {"epochs": 2, "batch_dialogues": 4, "warmup_steps": 2, "hidden": 8, "align": 8}


def space_of(parameters=BETA, **rest):
    content = {"model": "df_erc", "description": "a test", "budget": {"trials": 8}, "parameters": parameters}
    return SearchSpace.model_validate(content | {"sampler": {"name": "tpe", "startup_trials": 3}} | rest)


def grid_of(name, values, **rest):
    parameters = {name: {"kind": "categorical", "choices": values}}
    return space_of(parameters, sampler={"name": "grid"}, budget={}, settings=SMALL, **rest)


@pytest.mark.cluster
def test_a_trial_that_no_node_can_hold_is_refused_before_anything_is_written(ray_cluster, tiny_corpus, tmp_path):
    assert (room(Resources()), room(Resources(cpus=0.1)), room(Resources(cpus=2))) == (2, 20, 1)
    base = make_config({"corpus": str(tiny_corpus)})
    with Tracker("test") as tracker:
        for resources, asked in ((Resources(cpus=3), "3 CPU"), (Resources(gpus=1), "1 CPU and 1 GPU")):
            with pytest.raises(UserError, match=f"a trial of {asked} fits on no node .* the largest has 2 CPU"):
                run_sweep(space_of(settings=SMALL), base, tmp_path / "s", tracker, resources=resources)
    assert not (tmp_path / "s").exists()


@pytest.mark.cluster
def test_a_sweep_runs_its_trials_keeps_test_sealed_and_a_failing_trial_fails_alone(ray_cluster, tiny_corpus, tmp_path):
    space = grid_of("learning_rate", [1e-3, 1e30, 2e-3], seeds=[0, 1])
    base = make_config({"corpus": str(tiny_corpus)})
    heard = []
    with Tracker("test", f"sqlite:///{tmp_path}/mlflow.db") as tracker:
        rows = run_sweep(space, base, tmp_path / "s", tracker, progress=heard.append)
        assert tracker.flush()
        children = runs_in_mlflow(tracker, tmp_path / "s")

    assert [(row.number, row.varied) for row in rows] == list(enumerate(space.points()))
    assert [row.status for row in rows] == ["FINISHED", "FAILED", "FINISHED"] * 2
    assert all("the training loss became" in row.error for row in rows if row.status == "FAILED")
    assert all(row.epochs == 2 for row in rows if row.status == "FINISHED")

    runs = tmp_path / "s" / "runs"
    assert [file for file in runs.rglob("*.json*") if "test/" in file.read_text()] == []
    predicted = [pq.read_table(file)["split"].unique().to_pylist() for file in runs.rglob("predictions.parquet")]
    assert predicted == [["validation"]] * 4
    assert not [name for _, metrics in children for name in metrics if "test/" in name]
    assert sorted(status for status, _ in children) == ["FAILED"] * 2 + ["FINISHED"] * 4

    assert (heard[-1].done, heard[-1].total, heard[-1].running, heard[-1].failed) == (6, 6, 0, 2)
    assert heard[-1].best == max(row.metrics["validation/weighted_f1"] for row in rows if row.status == "FINISHED")


@pytest.mark.cluster
def test_a_node_with_other_code_or_another_corpus_does_not_train(ray_cluster, tiny_corpus, tmp_path, monkeypatch):
    monkeypatch.setattr("dferc_platform.sweep.job.code_version", lambda: "the driver's")
    with Tracker("test") as tracker:
        (row,) = run_sweep(grid_of("beta", [0.1]), make_config({"corpus": str(tiny_corpus)}), tmp_path / "s", tracker)
    assert row.status == "FAILED"
    assert "is not the driver's: give every node the same" in row.error
    assert row.epochs == 0


@pytest.mark.cluster
def test_asha_stops_trials_early_and_a_finished_sweep_goes_on_with_more_budget(ray_cluster, tmp_path):
    config = SyntheticConfig(train_dialogues=24, validation_dialogues=8, test_dialogues=1, shortest=5, longest=8)
    base = make_config({"corpus": str(generate(config).save(tmp_path / "corpus.parquet"))})
    rates = {"learning_rate": {"kind": "categorical", "choices": [1e-2, 1e-9]}, **BETA}  # the second learns nothing
    settings = {**SMALL, "epochs": 9, "patience": 9, "hidden": 16}
    asha = {"name": "asha", "grace_epochs": 3, "reduction_factor": 3}
    space = space_of(rates, settings=settings, scheduler=asha, budget={"trials": 6}, sampler={"name": "random"})
    with Tracker("test", f"sqlite:///{tmp_path}/mlflow.db") as tracker:
        first = run_sweep(space, base, tmp_path / "s", tracker, concurrency=1)
        more = space.model_copy(update={"budget": Budget(trials=7)})
        second = run_sweep(more, base, tmp_path / "s", tracker, concurrency=1, resume=True)
        assert tracker.flush()
        children = runs_in_mlflow(tracker, tmp_path / "s")
    assert {row.status for row in first} == {"FINISHED", "PRUNED"}
    for row in first:
        assert (row.epochs == 9) == (row.status == "FINISHED")
        assert [line["epoch"] for line in read_history(row.folder)] == list(range(1, row.epochs + 1))
    assert second[:6] == first
    assert len(second) == len(children) == 7
    assert {status for status, _ in children} == {"FINISHED"}


@pytest.mark.cluster
def test_a_trial_whose_process_dies_goes_on_at_its_last_epoch(ray_cluster, tiny_corpus, tmp_path):
    seen = []

    def kill_the_trial():
        ((folder, history),) = wait_for(lambda: [run for run in histories(tmp_path / "s") if len(run[1]) > 3])
        pid, _, _ = (folder / ".lock").read_text().partition(" on ")
        os.kill(int(pid), signal.SIGKILL)
        seen.extend(history)

    killer = threading.Thread(target=kill_the_trial)
    killer.start()
    space = space_of(settings={**SMALL, "epochs": 60, "patience": 60}, budget={"trials": 1})
    with Tracker("test") as tracker:
        (row,) = run_sweep(space, make_config({"corpus": str(tiny_corpus)}), tmp_path / "s", tracker)
    killer.join()
    assert (row.status, row.epochs) == ("FINISHED", 60)
    assert seen
    assert read_history(row.folder)[: len(seen)] == seen


def histories(study):
    return [(folder, read_history(folder)) for folder in study.glob("runs/*")]


def wait_for(condition, seconds=240):
    until = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.02)
    return found


def runs_in_mlflow(tracker, folder):
    """Status and metrics of every child run of the study."""
    from mlflow import MlflowClient

    client = MlflowClient(tracker.uri)
    experiment = client.get_experiment_by_name(tracker.experiment)
    found = client.search_runs([experiment.experiment_id], f"tags.study = '{folder.name}'")
    return [(run.info.status, run.data.metrics) for run in found if "mlflow.parentRunId" in run.data.tags]
