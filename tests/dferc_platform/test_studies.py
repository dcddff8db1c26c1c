import json

import numpy as np
import pytest

from dferc.errors import UserError
from dferc_platform.config import make_config
from dferc_platform.results import read_runs
from dferc_platform.spaces import SearchSpace, read_space
from dferc_platform.studies.beta import check_grid, run_beta_study, summary_metrics
from dferc_platform.tracking import Tracker

SMALL = {"epochs": 2, "batch_dialogues": 4, "warmup_steps": 2, "hidden": 8, "align": 8}


def grid(choices, seeds=(0, 1), **changes):
    content = {
        "model": "df_erc",
        "description": "How much does the margin matter?",
        "sampler": {"name": "grid"},
        "seeds": seeds,
        "score_test": True,
        "settings": SMALL,
        "parameters": {"beta": {"kind": "categorical", "choices": choices}},
    }
    return SearchSpace.model_validate(content | changes)


def test_shipped_grid_is_a_sensitivity_study():
    space = read_space("beta_sensitivity")
    check_grid(space)
    assert space.score_test
    assert len(space.parameters["beta"].grid()) >= 5
    assert len(space.seeds) >= 3


def test_all_that_makes_no_curve_is_named_at_once():
    parameters = {
        "beta": {"kind": "categorical", "choices": [0.1, "large"]},
        "hidden": {"kind": "categorical", "choices": [8, 16]},
    }
    space = grid([], sampler={"name": "tpe"}, budget={"trials": 3}, parameters=parameters)
    with pytest.raises(UserError) as refused:
        check_grid(space)
    for part in (
        "must be 'grid'",
        "beta, hidden: a sensitivity study varies one",
        "'large' is no number",
    ):
        assert part in str(refused.value)


@pytest.mark.cluster
def test_study_of_two_betas_reports_what_its_runs_scored_and_mlflow_holds_the_report(
    ray_cluster, tiny_corpus, tmp_path
):
    from mlflow import MlflowClient

    folder = tmp_path / "beta"
    base = make_config({"corpus": str(tiny_corpus)})
    with Tracker("test", f"sqlite:///{tmp_path}/mlflow.db") as tracker:
        summary = run_beta_study(base, folder, tracker, space=grid([0.0, 0.1]))
        assert tracker.flush()
        client = MlflowClient(tracker.uri)
        experiment = client.get_experiment_by_name("test")
        parents = [
            run for run in client.search_runs([experiment.experiment_id]) if "mlflow.parentRunId" not in run.data.tags
        ]
    rows = read_runs(folder)
    means = {
        beta: np.mean([row.metrics["validation/weighted_f1"] for row in rows if row.varied["beta"] == beta])
        for beta in (0.0, 0.1)
    }
    chosen = max(means, key=means.get)
    tests = [row.metrics["test/weighted_f1"] for row in rows if row.varied["beta"] == chosen]
    assert summary.found.best.value == chosen
    assert summary.report == folder / "report" / "report.html"
    assert summary.figure.read_bytes().startswith(b"\x89PNG")
    assert json.loads((folder / "report" / "summary.json").read_text())["verdict"] == list(summary.verdict)

    (parent,) = parents
    expected = summary_metrics(summary.found)
    assert expected["mean/test/weighted_f1"] == pytest.approx(np.mean(tests))
    assert {name: parent.data.metrics[name] for name in expected} == pytest.approx(expected)
    assert parent.info.status == "FINISHED"
    artifacts = {file.path for file in client.list_artifacts(parent.info.run_id, "report")}
    assert {"report/report.html", "report/table.csv", "report/summary.json", "report/figures"} <= artifacts
