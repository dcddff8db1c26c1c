"""What a driver says arrives in MLflow once, under names that its views compare well."""

import json
import math

import pytest

from dferc_platform.results import read_history, write_verdict

TAGS = {"model": "df_erc", "corpus": "synthetic", "fingerprint": "f" * 64, "protocol": "strict", "code": "0.1.0+abc"}


def line(epoch: int, score: float) -> dict[str, float]:
    return {
        "epoch": epoch,
        "train/loss/total": 2.0 / epoch,
        "validation/weighted_f1": score,
        "validation/macro_f1": score - 10,
        "validation/loss/total": 1.0,
    }


def curve(look, run, name="while_training/validation/weighted_f1"):
    return {point.step: point.value for point in look.client.get_metric_history(run.info.run_id, name)}


def points(look, run, name="while_training/validation/weighted_f1"):
    return len(look.client.get_metric_history(run.info.run_id, name))


@pytest.fixture
def tracker(open_tracker):
    return open_tracker()


@pytest.fixture
def parent(tracker, study):
    return tracker.study(study.study, {"metric": "weighted_f1"})


@pytest.fixture
def begin(tracker, parent):
    """Opens a run of the study."""
    return lambda key="k1", **parameters: tracker.run(key, f"run {key}", {"beta": 0.1, **parameters}, TAGS, parent)


def test_finished_run_shows_the_selected_epoch_and_its_curves(tracker, parent, begin, look, finished):
    run_id = begin(finished.name)
    history = read_history(finished)
    for metrics in history:
        tracker.epoch(run_id, metrics)
    tracker.finish(run_id, "FINISHED", finished)
    run = look(tracker, run_id)
    assert run.info.status == "FINISHED"
    assert run.data.metrics["validation/weighted_f1"] == 60.0
    assert run.data.metrics["test/weighted_f1"] == 58.0
    assert history[-1]["validation/weighted_f1"] != 60.0
    assert curve(look, run) == {metrics["epoch"]: metrics["validation/weighted_f1"] for metrics in history}
    assert run.data.params == {"beta": "0.1"}
    assert run.data.tags.items() >= {**TAGS, "run_key": finished.name, "kind": "beta"}.items()
    assert run.data.tags["mlflow.parentRunId"] == tracker.mlflow_id(parent)
    assert run.inputs.dataset_inputs[0].dataset.digest == "f" * 12


def test_files_of_a_run_are_kept_but_not_its_resume_point(tracker, begin, look, finished):
    run_id = begin()
    tracker.finish(run_id, "FINISHED", finished)
    run = look(tracker, run_id)
    kept = {item.path for item in look.client.list_artifacts(run.info.run_id)}
    assert kept == {
        "config.yaml", "result.json", "verdict.json", "history.jsonl", "predictions.parquet",
        "confusion.json", "confusion.html", "best",
    }  # fmt: skip
    assert [item.path for item in look.client.list_artifacts(run.info.run_id, "best")] == ["best/model.json"]


def test_score_of_a_live_run_is_the_best_so_far(tracker, begin, look):
    run_id = begin()
    for epoch, score in enumerate((50.0, 60.0, 55.0), start=1):
        tracker.epoch(run_id, line(epoch, score))
    run = look(tracker, run_id)
    assert run.info.status == "RUNNING"
    assert (run.data.metrics["validation/weighted_f1"], run.data.metrics["validation/macro_f1"]) == (60.0, 50.0)
    assert "validation/loss/total" not in run.data.metrics
    tracker.epoch(run_id, line(4, 65.0))
    assert look(tracker, run_id).data.metrics["validation/weighted_f1"] == 65.0


def test_selection_score_is_the_first_metric_of_a_run(tracker, begin, look):
    """MLflow's compare view opens with it."""
    run_id = begin(select_on="macro_f1")
    tracker.epoch(run_id, line(1, 50.0))
    assert next(iter(look(tracker, run_id).data.metrics)) == "validation/macro_f1"


def test_epoch_sent_twice_or_by_a_second_driver_is_there_once(tracker, begin, look, open_tracker, study, parent):
    run_id = begin()
    for epoch in (1, 2, 2):
        tracker.epoch(run_id, line(epoch, 50.0 + epoch))
    look(tracker, run_id)
    tracker.epoch(run_id, line(2, 99.0))
    first = look(tracker, run_id)
    second = open_tracker()
    again = second.run("k1", "run k1", {"beta": 0.1}, TAGS, second.study(study.study, {}))
    for epoch in (1, 2, 3):
        second.epoch(again, line(epoch, 50.0 + epoch))
    run = look(second, again)
    assert run.info.run_id == first.info.run_id
    assert curve(look, run) == {1: 51.0, 2: 52.0, 3: 53.0}
    assert points(look, run) == 3


def test_run_is_opened_again_with_another_corpus_path(tracker, begin, look, open_tracker, study):
    """MLflow forbids changing a parameter; the same content at another place is the same run."""
    run_id = begin(corpus="old.parquet")
    look(tracker, run_id)
    second = open_tracker()
    again = second.run("k1", "other name", {"corpus": "new.parquet", "seed": 3}, TAGS, second.study(study.study, {}))
    run = look(second, again)
    assert run.data.params == {"beta": "0.1", "corpus": "old.parquet", "seed": "3"}
    assert second.problem is None


def test_epochs_that_were_lost_come_from_the_folder(tracker, begin, look, finished):
    run_id = begin()
    history = read_history(finished)
    tracker.epoch(run_id, history[1])
    look(tracker, run_id)
    tracker.finish(run_id, "FINISHED", finished)
    run = look(tracker, run_id)
    assert sorted(curve(look, run)) == [metrics["epoch"] for metrics in history]
    assert points(look, run) == len(history)


@pytest.mark.parametrize(
    ("status", "shown", "pruned"),
    [("FAILED", "FAILED", None), ("KILLED", "KILLED", None), ("PRUNED", "FINISHED", "true")],
)
def test_status(tracker, begin, look, study, status, shown, pruned):
    run_id = begin()
    tracker.finish(run_id, status, study.ended({"beta": 0.1}, status, "out of memory"))
    run = look(tracker, run_id)
    assert (run.info.status, run.data.tags.get("pruned"), run.data.tags["error"]) == (shown, pruned, "out of memory")


def test_failed_run_that_is_resumed_and_finishes_loses_its_error(tracker, begin, look, finished):
    write_verdict(finished, "FAILED", varied={}, number=0, error="out of memory")
    (finished / "result.json").rename(finished / "later.json")
    run_id = begin()
    tracker.finish(run_id, "FAILED", finished)
    assert look(tracker, run_id).data.tags["error"] == "out of memory"
    assert begin() == run_id
    assert look(tracker, run_id).info.status == "RUNNING"
    (finished / "later.json").rename(finished / "result.json")
    tracker.finish(run_id, "FINISHED", finished)
    run = look(tracker, run_id)
    assert (run.info.status, run.data.tags["error"]) == ("FINISHED", "")
    assert run.data.metrics["validation/weighted_f1"] == 60.0


def test_values_that_cannot_be_drawn_are_left_out(tracker, begin, look):
    run_id = begin()
    tracker.epoch(
        run_id, {**line(1, 50.0), "train/loss/total": math.nan, "a": math.inf, "b": None, "f1/joie & co": 1.0}
    )
    run = look(tracker, run_id)
    assert {name for name in run.data.metrics if name.startswith("while_training/")} == {
        "while_training/validation/weighted_f1",
        "while_training/validation/macro_f1",
        "while_training/validation/loss/total",
        "while_training/f1/joie _ co",
    }


def test_long_and_many_parameters(tracker, begin, look):
    run_id = begin(**{f"p{i}": i for i in range(250)}, labels=["long"] * 1000)
    run = look(tracker, run_id)
    assert len(run.data.params) == 252
    assert len(run.data.params["labels"]) == 500
    assert tracker.problem is None


def test_secrets_are_not_logged(tracker, look):
    corpus = "s3://key:hunter2@bucket/meld.parquet"
    run_id = tracker.run("k1", "run k1", {"corpus": corpus}, {**TAGS, "corpus": corpus}, None)
    run = look(tracker, run_id)
    assert run.data.params["corpus"] == "s3://bucket/meld.parquet"
    assert "hunter2" not in json.dumps(run.to_dictionary())


def test_reconcile_ends_ghosts_but_not_the_runs_opened_after_it(tracker, begin, look, study, open_tracker):
    ghost, again = begin("ghost"), begin("again")
    look(tracker, again)
    second = open_tracker()
    parent = second.study(study.study, {})
    second.reconcile(parent)
    resumed = second.run("again", "again", {}, TAGS, parent)
    assert look(second, resumed).info.status == "RUNNING"
    assert look(tracker, ghost).info.status == "KILLED"


def test_reconcile_ends_runs_that_this_driver_never_ended(tracker, parent, begin, look):
    run_id = begin()
    tracker.reconcile(parent)
    assert look(tracker, run_id).info.status == "KILLED"


def test_close_leaves_nothing_running(tracker, parent, begin, look, finished):
    left = begin("left")
    done = begin("done")
    tracker.finish(done, "FINISHED", finished)
    tracker.close()
    assert {name: run.info.status for name, run in look().items()} == {
        "run left": "KILLED",
        "run done": "FINISHED",
        look.client.get_run(tracker.mlflow_id(parent)).info.run_name: "KILLED",
    }
    assert tracker.is_sent(left)


def test_study_has_its_report_its_numbers_and_a_link_that_compares_its_runs(tracker, parent, begin, look, study):
    runs = [begin("a"), begin("b")]
    for run_id in runs:
        tracker.finish(run_id, "FINISHED", None)
    (study.folder / "report").mkdir()
    (study.folder / "report" / "report.html").write_text("<html>")
    tracker.finish_study(parent, "FINISHED", study.folder, {"best/beta": 0.2})
    run = look(tracker, parent)
    assert (run.info.status, run.data.metrics) == ("FINISHED", {"best/beta": 0.2})
    assert {item.path for item in look.client.list_artifacts(run.info.run_id)} == {
        "study.json",
        "outcome.json",
        "report",
    }
    note = run.data.tags["mlflow.note.content"]
    assert note.startswith("[Compare its 2 runs](#/compare-runs?runs=")
    assert all(tracker.mlflow_id(child) in note for child in runs)


def test_ending_that_is_said_again_is_not_sent_again(tracker, begin, look, finished):
    """A resumed sweep says again how every trial ended."""
    run_id = begin()
    tracker.finish(run_id, "FINISHED", finished)
    before = look(tracker, run_id).to_dictionary()
    verdict = (finished / "verdict.json").read_text()
    (finished / "verdict.json").write_text(verdict)
    tracker.finish(begin(), "FINISHED", finished)
    again = look(tracker, run_id)
    assert again.to_dictionary() == before
    assert points(look, again, "validation/weighted_f1") == points(look, again, "test/weighted_f1") + 1


def test_run_that_mlflow_refuses_stops_neither_the_driver_nor_the_others(tracker, begin, look):
    refused, taken = begin("deleted"), begin("kept")
    look.client.delete_run(look(tracker, refused).info.run_id)
    tracker.epoch(refused, line(1, 50.0))
    tracker.epoch(taken, line(1, 50.0))
    assert look(tracker, taken).data.metrics["validation/weighted_f1"] == 50.0
    assert "did not accept run deleted" in tracker.problem
    assert not tracker.is_sent(refused)


def test_run_that_was_never_opened_is_a_problem_but_no_error(tracker, begin):
    tracker.epoch("nobody", line(1, 50.0))
    tracker.finish("nobody", "FINISHED", None)
    assert tracker.flush()
    assert "'nobody', which was never opened" in tracker.problem
