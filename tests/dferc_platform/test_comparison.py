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
from dferc_platform.results import read_result, read_runs
from dferc_platform.spaces import space_problems
from dferc_platform.studies import comparison
from dferc_platform.studies.comparison import run_comparison
from dferc_platform.studies.comparison_plan import ComparisonPlan, contestants
from dferc_platform.studies.confirm import unsearched_space
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


def test_what_is_set_is_fixed_for_whom_it_is_meant_and_outranks_everything():
    made = plan(
        "synthetic", epochs=9, small=True, models=("bc_lstm", "cmn", "df_erc"),
        settings={"hidden": 12, "cmn.hidden": 20, "cmn.model.hops": 2, "batch_dialogues": 4, "df_erc.epochs": 3},
    )  # fmt: skip
    made.check()
    chosen = {model: made.space(model).base(made.base(model)).parameters() for model in made.models}
    assert {model: values["hidden"] for model, values in chosen.items()} == {"bc_lstm": 12, "cmn": 20, "df_erc": 12}
    assert {model: values["epochs"] for model, values in chosen.items()} == {"bc_lstm": 9, "cmn": 9, "df_erc": 3}
    assert {values["batch_dialogues"] for values in chosen.values()} == {4}
    assert chosen["cmn"]["hops"] == 2
    assert not {"hidden", "hops", "batch_dialogues"} & {n for m in made.models for n in made.space(m).parameters}
    assert [made.space(model).scheduler.name for model in made.models] == ["asha", "asha", "none"]


def test_every_setting_that_does_not_fit_is_named_before_anything_starts(tmp_path):
    wrong = {
        "hitrnas.backbone": "x", "icon.hops": 2, "cmn.beta": 1, "seed": 3, "betta": 0.1, "epochs": 0, "cmn.hops": "many"
    }  # fmt: skip
    made = plan("synthetic", models=("cmn", "df_erc"), settings=wrong)
    with pytest.raises(UserError) as refused:
        run_comparison(made, tmp_path / "c", None)
    for said in (
        "--set has 7 problems",
        "hitrnas.backbone: there is no model hitrnas; ",
        "icon.hops: icon is not compared; compared are cmn, df_erc",
        "cmn.beta is no setting of cmn; ",
        "seed is not for --set: --seeds gives the seeds",
        "betta is no setting of any model compared; did you mean beta?",
        "training.epochs = 0: input should be greater than or equal to 1 (cmn, df_erc)",
        "model.hops = 'many': ",
    ):
        assert said in str(refused.value)
    assert not (tmp_path / "c").exists()


def test_without_trials_every_model_is_trained_as_published_and_where_nothing_is_left_to_vary_too():
    published = plan("synthetic", trials=0, recipe="meld", settings={"bc_lstm.epochs": 7})
    published.check()
    assert [published.runs(model) for model in MODELS] == [2, 2]
    base = published.base("bc_lstm")
    assert (base.training.batch_dialogues, base.training.learning_rate, base.training.epochs) == (32, 1e-4, 7)
    space = unsearched_space(published.space("bc_lstm"), (0, 1), optimism=True)
    assert space_problems(space, base) == []
    assert space.points() == [{"seed": 0}, {"seed": 1}]
    assert space.base(base) == base.model_copy(update={"optimism": True})

    varied = plan("synthetic").space("bc_lstm").parameters
    given = {f"bc_lstm.{name}": parameter.ends()[0] for name, parameter in varied.items()}
    settled = plan("synthetic", settings=given)
    assert [settled.runs(model) for model in MODELS] == [4, 2]


def test_a_recipe_that_no_model_has_is_refused():
    with pytest.raises(UserError, match="--recipe atlantis: no model compared has settings published for it; "):
        plan("synthetic", recipe="atlantis").check()


@pytest.fixture(scope="module")
def compared(ray_cluster, tiny_corpus, tmp_path_factory):
    """A comparison of two tiny models, begun with one of them broken, then repaired and gone on with."""
    folder = tmp_path_factory.mktemp("comparison") / "compare-tiny"
    made = plan(tiny_corpus, epochs=1, small=True, settings={"bc_lstm.dropout": 0.25, "batch_dialogues": 4})
    with pytest.MonkeyPatch.context() as patch, Tracker("comparison") as tracker:
        whole = comparison.plan_job

        def broken(space, *args, **more):
            if space.model == "bc_lstm":
                raise RuntimeError("out of memory")
            return whole(space, *args, **more)

        patch.setattr(comparison, "plan_job", broken)
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

    assert json.loads((folder / "study.json").read_text())["config"]["comparison"]["settings"] == dict(made.settings)
    for model in MODELS:
        searched, confirmed = (read_runs(stage_folder(folder, model, stage)) for stage in ("search", "confirmed"))
        assert {run.parameters["batch_dialogues"] for run in searched + confirmed} == {4}
        assert not [name for run in searched for name in run.metrics if "test/" in name]
        for run in confirmed:
            assert run.metrics["published/test/weighted_f1"] >= run.metrics["test/weighted_f1"]
            assert run.metrics["optimism_gap"] >= 0
            assert read_result(run.folder)["memory"]["peak_mb"] > 0
            assert (run.folder / "sealed").is_dir()
        assert not [run for run in searched if (run.folder / "sealed").exists()]

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
        run_comparison(plan(tiny_corpus, epochs=1, small=True), folder, tracker)  # without the settings


def test_a_comparison_without_a_finished_model_says_why(tmp_path):
    study = {
        "kind": "comparison", "name": "c", "key": "k", "model": "", "corpus": "synthetic", "fingerprint": "f",
        "space": None, "experiment": "e",
        "config": {"comparison": {"models": ["df_erc"], "trials": 1, "seeds": [0], "epochs": None, "small": False}},
    }  # fmt: skip
    Path(tmp_path / "study.json").write_text(json.dumps(study))
    with pytest.raises(UserError, match=r"no model of comparison c has finished \(df_erc: not begun\)"):
        read_comparison(tmp_path)
