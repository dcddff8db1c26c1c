"""Comparisons: one footing for all, honest differences, a model that fails fails alone, resuming does nothing again."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from dferc.errors import UserError
from dferc.evaluation.statistics import holm
from dferc_platform.report import write_report
from dferc_platform.report.comparison import read_comparison, stage_folder
from dferc_platform.report.comparison_report import leaderboard
from dferc_platform.studies.comparison import ComparisonPlan, contestants, run_comparison
from dferc_platform.tracking import Tracker

MODELS = ("df_erc", "bc_lstm")


def plan(corpus, **changes):
    return ComparisonPlan(**{"models": MODELS, "corpus": str(corpus), "trials": 2, "seeds": (0, 1)} | changes)


def test_every_model_gets_the_same_budget(tiny_corpus):
    made = plan(tiny_corpus, epochs=3, small=True)
    for model in MODELS:
        space, base = made.space(model), made.base(model)
        assert space.budget.trials == 2
        assert base.training.epochs == 3
        assert space.scheduler.name == "none"  # three epochs are fewer than its grace
        assert not {"hidden", "lstm_hidden", "epochs"} & set(space.parameters)
    assert plan(tiny_corpus).space("bc_lstm").scheduler.name == "asha"


def test_contestants():
    assert contestants("bc_lstm, df_erc,bc_lstm") == ("bc_lstm", "df_erc")
    assert set(MODELS) <= set(contestants(None))
    with pytest.raises(UserError, match="there is no model 'lstm'"):
        contestants("lstm")


@pytest.fixture(scope="module")
def compared(ray_cluster, tiny_corpus, tmp_path_factory):
    """A comparison of two tiny models, begun with one of them broken, then repaired and gone on with."""
    folder = tmp_path_factory.mktemp("comparison") / "compare-tiny"
    made = plan(tiny_corpus, epochs=1, small=True)
    with pytest.MonkeyPatch.context() as patch, Tracker("comparison") as tracker:
        whole = ComparisonPlan.base

        def broken(self, model):
            if model == "bc_lstm":
                raise RuntimeError("out of memory")
            return whole(self, model)

        patch.setattr(ComparisonPlan, "base", broken)
        run_comparison(made, folder, tracker)
    return folder, made


@pytest.mark.cluster
def test_a_model_that_fails_fails_alone_and_is_shown(compared):
    folder, made = compared
    found = read_comparison(folder)
    assert [standing.entry.model for standing in found.standings] == ["df_erc", "bc_lstm"]
    assert found.standings[1].entry.error == "out of memory"
    assert "out of memory" in (folder / "report" / "report.html").read_text()

    finished = stage_folder(folder, "df_erc", "confirmed") / "runs"
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("result.json")}
    with Tracker("comparison") as tracker:
        page = run_comparison(made, folder, tracker)
    assert {path: path.stat().st_mtime_ns for path in before} == before  # nothing was trained again
    found = read_comparison(folder)
    assert all(len(standing.entry.runs) == 2 for standing in found.standings)
    assert all(standing.entry.trials == 2 for standing in found.standings)
    differences = [s.difference for s in found.standings if s.difference is not None]
    assert [s.p for s in found.standings if s.p is not None] == holm([d.p for d in differences])
    other = next(s for s in found.standings if s.entry.model == "bc_lstm")
    reference = next(s for s in found.standings if s.entry.model == "df_erc")
    gap = other.entry.interval("test/weighted_f1").mean - reference.entry.interval("test/weighted_f1").mean
    assert other.difference.mean == pytest.approx(gap)
    for name in ("table.csv", "table.md", "table.tex", "summary.json", "figures/leaderboard.png"):
        assert (page.parent / name).is_file()
    assert r"\textbf{df\_erc}" in (page.parent / "table.tex").read_text()
    assert json.loads((page.parent / "summary.json").read_text())["reference"] == "df_erc"
    assert len(leaderboard(found).rows) == 2

    path = next(stage_folder(folder, "df_erc", "confirmed").rglob("predictions.parquet"))
    table = pq.read_table(path)
    pq.write_table(table.filter(np.arange(table.num_rows) < table.num_rows - 1), path)
    with pytest.raises(UserError, match="not scored on the same utterances"):
        write_report(folder)
    pq.write_table(table, path)


@pytest.mark.cluster
def test_another_question_is_refused_in_its_folder(compared, tiny_corpus):
    folder, _ = compared
    with pytest.raises(UserError, match="cannot be resumed"), Tracker("comparison") as tracker:
        run_comparison(plan(tiny_corpus, epochs=1, small=True, seeds=(0, 7)), folder, tracker)


def test_a_comparison_without_a_finished_model_says_why(tmp_path):
    study = {
        "kind": "comparison", "name": "c", "key": "k", "model": "", "corpus": "synthetic", "fingerprint": "f",
        "space": None, "experiment": "e",
        "config": {"comparison": {"models": ["df_erc"], "trials": 1, "seeds": [0], "epochs": None, "small": False}},
    }  # fmt: skip
    Path(tmp_path / "study.json").write_text(json.dumps(study))
    with pytest.raises(UserError, match=r"no model of comparison c has finished \(df_erc: not begun\)"):
        read_comparison(tmp_path)
