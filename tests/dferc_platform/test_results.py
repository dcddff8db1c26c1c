"""Run and study folders are read as they are, also when a kill left them unfinished."""

import json
from pathlib import Path

import pytest

from dferc.errors import UserError
from dferc_platform.results import (
    read_history,
    read_outcome,
    read_run,
    read_runs,
    read_study,
    results_folder,
    run_name,
    write_outcome,
    write_verdict,
)


@pytest.fixture
def study(tmp_path, make_study):
    return make_study(tmp_path / "betas", "beta")


@pytest.fixture
def run(study, make_scores):
    return study.finished({"beta": 0.1, "seed": 3}, make_scores(60.0, 58.0))


def change(path: Path, **values) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def unfinish(run: Path) -> Path:
    for name in ("result.json", "verdict.json"):
        (run / name).unlink()
    return run


def test_finished_run(run):
    row = read_run(run)
    assert (row.key, row.status, row.number) == (run.name, "FINISHED", 0)
    assert row.varied == {"beta": 0.1, "seed": 3}
    assert (row.metrics["validation/weighted_f1"], row.metrics["test/weighted_f1"]) == (60.0, 58.0)
    assert row.parameters["beta"] == 0.1
    assert row.parameters["model"] == "df_erc"
    assert (row.best_epoch, row.seconds, row.error) == (row.epochs - 3, 10.0, None)


def test_keys_that_a_later_version_adds_are_passed_over(study, run):
    for path in (run / "result.json", run / "verdict.json", study.folder / "study.json"):
        change(path, colour="blue")
    assert read_run(run).status == "FINISHED"
    assert read_study(study.folder) == study.study


def test_history_with_a_line_cut_short_and_an_epoch_trained_again(run):
    (run / "history.jsonl").write_text(
        '{"epoch": 1, "a": 1.0}\n{"epoch": 2, "a": 2.0}\n{"epoch": 3, "tra{"epoch": 3, "a": 3.0}\n'
        '{"epoch": 2, "a": 2.5}\n{"epoch": 3, "a": 3.5}\n{"epoch": 4, "a'
    )
    assert [(line["epoch"], line["a"]) for line in read_history(run)] == [(1, 1.0), (2, 2.5), (3, 3.5)]


def test_run_that_was_cut_off_is_killed_and_shows_its_best_epoch_so_far(run):
    unfinish(run)
    scores = [(1, 40.0), (2, 55.0), (3, 50.0), (4, float("nan"))]
    lines = [
        {"epoch": e, "validation/weighted_f1": s, "validation/loss/total": 1.0, "epoch_seconds": 2} for e, s in scores
    ]
    (run / "history.jsonl").write_text("\n".join(map(json.dumps, lines)))
    row = read_run(run)
    assert (row.status, row.metrics, row.best_epoch) == ("KILLED", {"validation/weighted_f1": 55.0}, 2)
    assert (row.epochs, row.seconds, row.number) == (4, 8.0, None)


def test_result_outranks_an_earlier_verdict(run):
    write_verdict(run, "KILLED", varied={"beta": 0.1}, number=7, error="stopped")
    row = read_run(run)
    assert (row.status, row.error, row.number) == ("FINISHED", None, 7)


def test_failed_before_it_began(study):
    row = read_run(study.ended({"beta": 0.5}, "FAILED", "no such corpus"))
    assert (row.status, row.error, row.metrics, row.epochs) == ("FAILED", "no such corpus", {}, 0)


def test_runs_come_by_number_and_other_folders_are_passed_over(study, make_scores):
    for beta in (0.0, 0.1, 0.2):
        study.finished({"beta": beta}, make_scores(60.0))
    write_verdict(study.folder / "runs" / "run0000", "FINISHED", varied={"beta": 0.0}, number=9)
    (study.folder / "runs" / "notes").mkdir()
    assert [row.varied["beta"] for row in read_runs(study.folder)] == [0.1, 0.2, 0.0]


def test_study_without_runs(study):
    assert read_runs(study.folder) == []
    assert read_outcome(study.folder) == {}


def test_outcome_is_kept(study):
    write_outcome(study.folder, "FINISHED", {"best/beta": 0.2})
    assert read_outcome(study.folder) == {"status": "FINISHED", "metrics": {"best/beta": 0.2}}


@pytest.mark.parametrize(
    ("read", "said"), [(read_run, "is no run"), (read_study, "is no study"), (read_runs, "is no study")]
)
def test_folder_of_something_else(tmp_path, read, said):
    with pytest.raises(UserError, match=said):
        read(tmp_path)


@pytest.mark.parametrize("name", ["result.json", "verdict.json", "config.yaml"])
@pytest.mark.parametrize("content", ['{"key": ', "[1]", "\x00"])
def test_broken_file_is_named(run, name, content):
    (run / name).write_text(content)
    with pytest.raises(UserError, match=f"{name} cannot be read"):
        read_run(run)


def test_study_that_lacks_its_key(study):
    (study.folder / "study.json").write_text('{"kind": "beta", "name": "b"}')
    with pytest.raises(UserError, match=r"study\.json lacks key, model"):
        read_study(study.folder)


def test_results_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DFERC_RESULTS", raising=False)
    assert results_folder() == tmp_path / "results"
    monkeypatch.setenv("DFERC_RESULTS", "elsewhere")
    assert results_folder() == tmp_path / "elsewhere"


def test_run_name():
    assert (
        run_name({"beta": 0.1, "learning_rate": 0.00012345678, "seed": 0}, "k")
        == "beta=0.1 learning_rate=0.0001235 seed=0"
    )
    assert run_name({}, "0123") == "0123"
