"""A study on disk arrives in MLflow whole, from the folder alone, and once however often it is sent."""

import shutil

import pytest

from dferc.errors import UserError
from dferc_platform.results import write_outcome
from dferc_platform.tracking import sync


@pytest.fixture
def filled(study, make_scores, finished):
    study.finished({"beta": 0.2, "seed": 0}, make_scores(62.0, 59.0))
    study.ended({"beta": 0.4, "seed": 0}, "FAILED", "out of memory")
    cut_off = study.finished({"beta": 0.8, "seed": 0}, make_scores(50.0, 49.0))
    for name in ("result.json", "verdict.json"):
        (cut_off / name).unlink()
    write_outcome(study.folder, "FINISHED", {"best/beta": 0.2})
    return study


def everything(look):
    """All that MLflow holds of the experiment, points of every metric included."""
    runs = look()
    history = {
        (name, metric): [
            (p.step, p.value, p.timestamp) for p in look.client.get_metric_history(run.info.run_id, metric)
        ]
        for name, run in runs.items()
        for metric in run.data.metrics
    }
    return {name: run.to_dictionary() for name, run in runs.items()}, history


def test_study_is_sent_from_disk(filled, open_tracker, look):
    assert sync(filled.folder, open_tracker()) == 4
    runs = look()
    status = {name: run.info.status for name, run in runs.items()}
    assert status == {
        filled.study.name: "FINISHED",
        "beta=0.1 seed=0": "FINISHED",
        "beta=0.2 seed=0": "FINISHED",
        "beta=0.4 seed=0": "FAILED",
        "run0003": "KILLED",
    }
    best = runs["beta=0.2 seed=0"]
    assert best.data.metrics["validation/weighted_f1"] == 62.0
    assert (best.data.params["beta"], best.data.tags["code"]) == ("0.2", "0.1.0+abc123")
    assert best.info.end_time - best.info.start_time == 10_000
    assert runs[filled.study.name].data.metrics == {"best/beta": 0.2}


@pytest.mark.parametrize("same_driver", [True, False])
def test_twice_is_once(filled, open_tracker, look, same_driver):
    tracker = open_tracker()
    sync(filled.folder, tracker)
    before = everything(look)
    assert sync(filled.folder, tracker if same_driver else open_tracker()) == 4
    assert everything(look) == before


def test_run_joins_its_study(filled, finished, open_tracker, look):
    assert sync(finished, open_tracker()) == 1
    runs = look()
    assert runs.keys() == {filled.study.name, "beta=0.1 seed=0"}
    assert runs["beta=0.1 seed=0"].data.tags["mlflow.parentRunId"] == runs[filled.study.name].info.run_id


def test_run_without_a_study_stands_alone(finished, tmp_path, open_tracker, look):
    alone = shutil.copytree(finished, tmp_path / "alone")
    assert sync(alone, open_tracker()) == 1
    assert look()["beta=0.1 seed=0"].info.status == "FINISHED"


def test_resumed_study_is_brought_up_to_date(filled, make_scores, open_tracker, look):
    sync(filled.folder, open_tracker())
    filled.number = 3
    shutil.rmtree(filled.folder / "runs" / "run0003")
    filled.finished({"beta": 0.8, "seed": 0}, make_scores(51.0, 50.0))
    assert sync(filled.folder, open_tracker()) == 4
    resumed = look()["run0003"]
    assert (resumed.info.status, resumed.data.metrics["validation/weighted_f1"]) == ("FINISHED", 51.0)


def test_other_folder(tmp_path, open_tracker):
    with pytest.raises(UserError, match="neither a study"):
        sync(tmp_path, open_tracker())
