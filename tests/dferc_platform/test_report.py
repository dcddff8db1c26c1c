import csv
import json
import re
from dataclasses import asdict

import numpy as np
import pytest
import yaml
from scipy import stats

from dferc.errors import UserError
from dferc_platform.config import make_config
from dferc_platform.report import provenance, write_report
from dferc_platform.report.runs import open_study
from dferc_platform.report.search import LEAST_TRIALS, search
from dferc_platform.report.sensitivity import sensitivity
from dferc_platform.report.style import inline
from dferc_platform.report.tables import Table
from dferc_platform.report.verdict import verdict
from dferc_platform.results import read_runs, write_study
from dferc_platform.spaces import SearchSpace
from dferc_platform.sweep import best

VALIDATION = {0.0: (60.0, 61.0, 62.5), 0.1: (69.0, 70.5, 71.0), 0.2: (70.0, 70.6, 71.5), 0.8: (64.0, 66.0, 65.0)}
TEST = {0.0: (58.0, 60.0, 61.0), 0.1: (70.0, 71.0, 72.0), 0.2: (68.0, 68.5, 70.0), 0.8: (63.0, 64.5, 66.0)}
SEARCHED = {
    "learning_rate": {"kind": "float", "low": 1e-5, "high": 1e-2, "log": True},
    "beta": {"kind": "float", "low": 0.0, "high": 1.0},
    "hidden": {"kind": "int", "low": 64, "high": 300, "step": 2},
    "projections": {"kind": "categorical", "choices": ["sequential", "parallel"]},
}


@pytest.fixture(scope="module")
def beta_study(tmp_path_factory, make_study, make_scores):
    """Four betas with three seeds each, a failed run, and a run that warned; its report is written."""
    maker = make_study(tmp_path_factory.mktemp("studies") / "beta", "beta")
    for seed in range(3):
        for beta in VALIDATION:
            warned = ["fusion weights hardly move"] if beta == 0.0 else []
            scores = make_scores(VALIDATION[beta][seed], TEST[beta][seed])
            maker.finished({"beta": beta, "seed": seed}, scores, warnings=warned)
    maker.ended({"beta": 1.6, "seed": 0}, "FAILED", "the loss is not finite at epoch 4")
    write_report(maker.folder)
    return maker.folder


def summary_of(folder):
    return json.loads((folder / "report" / "summary.json").read_text())


def page_of(folder):
    return (folder / "report" / "report.html").read_text()


def small_study(folder, make_study, make_scores, levels, seeds=3):
    """A beta study whose seeds differ by half a point around each level's validation score; test lies a point below."""
    maker = make_study(folder, "beta")
    for beta, score in levels.items():
        for seed in range(seeds):
            validation = score + 0.5 * (seed - (seeds - 1) / 2)
            maker.finished({"beta": beta, "seed": seed}, make_scores(validation, validation - 1))
    return maker


def test_levels_are_means_over_seeds_with_t_intervals(beta_study):
    for level in summary_of(beta_study)["levels"]:
        for split, truth in (("validation", VALIDATION), ("test", TEST)):
            values = truth[level["value"]]
            low, high = stats.t.interval(0.95, len(values) - 1, np.mean(values), stats.sem(values))
            told = level["scores"][f"{split}/weighted_f1"]
            assert [told["mean"], told["low"], told["high"]] == pytest.approx([np.mean(values), low, high])


def test_validation_chooses_although_test_prefers_another(beta_study):
    chosen = summary_of(beta_study)["best"]
    assert max(TEST, key=lambda beta: np.mean(TEST[beta])) == 0.1
    assert chosen["value"] == 0.2
    assert chosen["scores"]["test/weighted_f1"]["mean"] == pytest.approx(np.mean(TEST[0.2]))


def test_flat_region_is_one_standard_error_wide(beta_study):
    reach = np.mean(VALIDATION[0.2]) - stats.sem(VALIDATION[0.2])
    inside = [beta for beta in VALIDATION if np.mean(VALIDATION[beta]) >= reach]
    region = summary_of(beta_study)["flat_region"]
    assert inside == [0.2]
    assert (region["low"], region["high"]) == (min(inside), max(inside))


def test_distance_to_the_published_value_is_paired_by_seed(beta_study):
    gaps = np.subtract(TEST[0.2], TEST[0.1])
    low, high = stats.t.interval(0.95, 2, gaps.mean(), stats.sem(gaps))
    told = summary_of(beta_study)["best_minus_default"]
    assert summary_of(beta_study)["default"] == 0.1
    assert [told["mean"], told["low"], told["high"]] == pytest.approx([gaps.mean(), low, high])


def test_worse_levels_are_those_whose_paired_interval_excludes_zero(beta_study):
    worse = []
    for beta, values in VALIDATION.items():
        gaps = np.subtract(values, VALIDATION[0.2])
        if gaps.any() and stats.t.interval(0.95, 2, gaps.mean(), stats.sem(gaps))[1] < 0:
            worse.append(beta)
    assert summary_of(beta_study)["worse_than_best"] == worse == [0.0, 0.8]


def test_page_shows_the_same_numbers_as_the_table(beta_study):
    with (beta_study / "report" / "table.csv").open() as file:
        rows = list(csv.DictReader(file))
    page = page_of(beta_study)
    assert [float(row["beta"]) for row in rows] == list(VALIDATION)
    for row in rows:
        for split, truth in (("validation", VALIDATION), ("test", TEST)):
            mean, half_width = (
                np.mean(truth[float(row["beta"])]),
                stats.t.ppf(0.975, 2) * stats.sem(truth[float(row["beta"])]),
            )
            assert float(row[f"{split} weighted F1 mean"]) == pytest.approx(mean)
            assert f"<td>{mean:.2f} ± {half_width:.2f}</td>" in page


def test_failed_runs_and_warnings_are_listed_and_do_not_count(beta_study):
    summary, page = summary_of(beta_study), page_of(beta_study)
    assert summary["finished"] == 12
    assert summary["unfinished"] == [
        {"run": "beta = 1.6, seed = 0", "status": "FAILED", "error": "the loss is not finite at epoch 4"}
    ]
    assert 1.6 not in [level["value"] for level in summary["levels"]]
    assert "the loss is not finite at epoch 4" in page
    assert "beta = 0, seed = 0; beta = 0, seed = 1; beta = 0, seed = 2" in page


def test_page_needs_nothing_but_itself(beta_study):
    page = page_of(beta_study)
    assert not re.search(r"<(script|link|img|iframe)\b|@import|url\((?!#)", page)
    assert all(target.startswith(("#", "data:")) for target in re.findall(r'href="([^"]*)"', page))
    assert page.count("<svg") == 5


def test_writing_again_gives_the_same_bytes(beta_study):
    before = {path: path.read_bytes() for path in sorted((beta_study / "report").rglob("*")) if path.is_file()}
    write_report(beta_study)
    after = {path: path.read_bytes() for path in sorted((beta_study / "report").rglob("*")) if path.is_file()}
    assert len(before) == 6 + 2 * 5
    assert after == before


def test_best_yaml_is_the_config_of_the_best_run(beta_study):
    config = make_config(yaml.safe_load((beta_study / "report" / "best.yaml").read_text()))
    assert (config.parameters()["beta"], config.seed) == (0.2, 2)


def test_markup_in_names_is_text(tmp_path, make_study, make_scores):
    evil = "<script>alert('$x$')</script>"
    maker = make_study(tmp_path / "beta", "beta", name=evil, corpus=evil)
    labels = [evil, "surprise", "fear", "sadness", "joy", "disgust", "anger"]
    metrics = make_scores(70.0, 69.0)
    metrics |= {f"{split}/f1/{evil}": 50.0 for split in ("validation", "test")}
    maker.finished({"beta": 0.1, "seed": 0}, metrics, labels=labels, code=evil, warnings=[evil])
    maker.ended({"beta": 0.2, "seed": 0}, "FAILED", evil)
    write_report(maker.folder)
    page = page_of(maker.folder)
    assert "<script" not in page
    assert page.count("&lt;script&gt;") >= 5


@pytest.mark.parametrize(
    ("levels", "seeds", "expected"),
    [
        ({0.0: 70.0, 0.1: 70.1, 0.2: 70.0}, 3, "No value of beta from 0 to 0.2 can be told from the best, 0.1, with 3"),
        ({0.0: 60.0, 0.1: 70.0, 0.2: 65.0}, 3, "Choose beta = 0.1: no neighbouring value scores about as well."),
        ({0.0: 60.0, 0.1: 70.0, 0.2: 70.1}, 3, "Choose beta = 0.2; from 0.1 to 0.2 the choice cannot be told apart"),
        ({0.0: 60.0, 0.1: 70.0}, 1, "some values have one seed only"),
        ({0.1: 70.0}, 3, "Only beta = 0.1 was tried"),
    ],
)
def test_first_sentence_says_what_to_choose(tmp_path, make_study, make_scores, levels, seeds, expected):
    # Seeds wander by half a point in an order of their own at each level, so that no pair moves alike.
    maker = make_study(tmp_path / "beta", "beta")
    for place, (beta, score) in enumerate(levels.items()):
        for seed in range(seeds):
            maker.finished({"beta": beta, "seed": seed}, make_scores(score + 0.5 * ((seed + place) % seeds), 60.0))
    assert expected in verdict(sensitivity(open_study(maker.folder)))[0]


@pytest.mark.parametrize(("best", "said"), [(0.0, "smaller"), (0.1, None), (0.2, "larger")])
def test_a_best_value_at_the_end_of_the_grid_is_said(tmp_path, make_study, make_scores, best, said):
    levels = {beta: 70.0 if beta == best else 60.0 for beta in (0.0, 0.1, 0.2)}
    maker = small_study(tmp_path / "beta", make_study, make_scores, levels)
    sentences = " ".join(verdict(sensitivity(open_study(maker.folder))))
    assert ("might be better still" in sentences) == (said is not None)
    assert said is None or f"{said} ones might be better still" in sentences


def test_what_a_seed_does_to_all_values_hides_no_difference(tmp_path, make_study, make_scores):
    maker = make_study(tmp_path / "beta", "beta")
    wander = {0.1: (0.0, 0.0, 0.0), 0.2: (0.4, 0.5, 0.6), 0.4: (-0.9, 0.3, 0.9)}
    for beta, gaps in wander.items():
        for seed, (gap, seed_effect) in enumerate(zip(gaps, (0.0, 5.0, 10.0), strict=True)):
            maker.finished({"beta": beta, "seed": seed}, make_scores(70.0 + seed_effect - gap))
    found = sensitivity(open_study(maker.folder))
    assert found.best.standard_error("validation/weighted_f1") > 2
    assert [level.value for level in found.worse] == [0.2]
    assert [level.value for level in found.flat] == [0.1]
    half_widths = [stats.t.ppf(0.975, 2) * stats.sem(wander[beta]) for beta in (0.2, 0.4)]
    assert found.resolution == pytest.approx(np.median(half_widths))


def test_one_seed_claims_no_interval(tmp_path, make_study, make_scores):
    maker = small_study(tmp_path / "one", make_study, make_scores, {0.0: 69.0, 0.1: 70.0}, seeds=1)
    write_report(maker.folder)
    assert summary_of(maker.folder)["best"]["scores"]["validation/weighted_f1"] == {
        "mean": 70.0,
        "low": None,
        "high": None,
    }
    assert "nan" not in re.sub(r"<svg.*?</svg>", "", page_of(maker.folder), flags=re.DOTALL).lower()


def test_missing_seeds_are_said(tmp_path, make_study, make_scores):
    maker = small_study(tmp_path / "gap", make_study, make_scores, {0.0: 69.0, 0.1: 70.0})
    maker.finished({"beta": 0.4, "seed": 0}, make_scores(68.0, 67.0))
    assert "(beta = 0.4: 1 of 3)" in verdict(sensitivity(open_study(maker.folder)))[-1]


def test_run_without_verdict_counts_by_its_own_settings(tmp_path, make_study, make_scores):
    maker = small_study(tmp_path / "cut", make_study, make_scores, {0.0: 69.0, 0.1: 70.0})
    (maker.finished({"beta": 0.2, "seed": 0}, make_scores(72.0, 71.0)) / "verdict.json").unlink()
    assert sensitivity(open_study(maker.folder)).best.value == 0.2


def test_study_without_a_finished_run_says_so(tmp_path, make_study):
    maker = make_study(tmp_path / "empty", "beta")
    with pytest.raises(UserError, match=r"no finished run to report on: none was started"):
        write_report(maker.folder)
    maker.ended({"beta": 0.1, "seed": 0}, "FAILED", "disk is full")
    maker.ended({"beta": 0.2, "seed": 0}, "KILLED")
    with pytest.raises(UserError, match=r"1 failed, 1 killed; the first error is: disk is full"):
        write_report(maker.folder)
    assert not (maker.folder / "report").exists()


def test_folder_that_is_no_study_is_refused(tmp_path):
    with pytest.raises(UserError, match="is no study"):
        write_report(tmp_path)


def test_study_that_varies_two_settings_is_no_sensitivity_study(tmp_path, make_study, make_scores):
    maker = make_study(tmp_path / "two", "beta")
    maker.finished({"beta": 0.1, "hidden": 64, "seed": 0}, make_scores(70.0))
    with pytest.raises(UserError, match="this one varies beta, hidden"):
        write_report(maker.folder)


def sweep_study(folder, make_study, make_scores, trials, **space):
    """A sweep in which the learning rate drives the score and nothing else does."""
    described = SearchSpace(
        model="df_erc", description="All that may matter", budget={"trials": 30}, parameters=SEARCHED, **space
    )
    maker = make_study(folder, "sweep", space=described.model_dump(mode="json"))
    rng = np.random.default_rng(7)
    for _ in range(trials):
        rate = float(10 ** rng.uniform(-5, -2))
        varied = {"learning_rate": rate, "beta": float(rng.uniform()), "hidden": int(2 * rng.integers(32, 151))}
        varied["projections"] = str(rng.choice(["sequential", "parallel"]))
        score = 70 - 5 * (np.log10(rate) + 3.5) ** 2 + rng.normal(0, 0.3)
        maker.finished(varied, make_scores(float(score)))
    return maker, described


def test_sweep_report_names_the_best_trial_and_hides_test(tmp_path, make_study, make_scores):
    maker, space = sweep_study(tmp_path / "sweep", make_study, make_scores, 20)
    maker.ended({"learning_rate": 1e-5, "beta": 0.5}, "PRUNED")
    write_report(maker.folder)
    winner = best(read_runs(maker.folder), space)
    summary, page = summary_of(maker.folder), page_of(maker.folder)
    assert summary["best"]["run"] == winner.key
    assert summary["best"]["metrics"]["validation/weighted_f1"] == winner.metrics["validation/weighted_f1"]
    assert "test weighted F1" not in page
    assert next(iter(summary["importances"])) == "learning_rate"
    config = make_config(yaml.safe_load((maker.folder / "report" / "best.yaml").read_text()))
    assert config.score_test
    assert config.parameters()["beta"] == winner.varied["beta"]


def test_few_trials_have_no_importance(tmp_path, make_study, make_scores):
    maker, _ = sweep_study(tmp_path / "few", make_study, make_scores, LEAST_TRIALS - 1)
    write_report(maker.folder)
    assert summary_of(maker.folder)["importances"] == {}
    assert f"needs at least {LEAST_TRIALS} finished trials" in page_of(maker.folder)


def test_best_so_far_never_falls(tmp_path, make_study, make_scores):
    maker, _ = sweep_study(tmp_path / "sweep", make_study, make_scores, 12)
    found = search(open_study(maker.folder))
    scores = [row.metrics[found.metric] for row in found.finished]
    assert found.best_so_far() == list(np.maximum.accumulate(scores))


def test_study_of_a_space_that_is_no_more_is_refused(tmp_path, make_study, make_scores):
    maker, _ = sweep_study(tmp_path / "old", make_study, make_scores, 1)
    content = asdict(maker.study)
    content["space"]["epsilon"] = 1
    write_study(maker.folder, type(maker.study)(**content))
    with pytest.raises(UserError, match=r"study\.json holds no search space that this version reads: epsilon"):
        write_report(maker.folder)


def test_training_report_is_the_mean_over_seeds(tmp_path, make_study, make_scores):
    maker = make_study(tmp_path / "train", "train")
    for seed, score in enumerate((70.0, 71.0, 73.0)):
        maker.finished({"seed": seed}, make_scores(score, score - 2))
    write_report(maker.folder)
    low, high = stats.t.interval(0.95, 2, 71 + 1 / 3 - 2, stats.sem((68.0, 69.0, 71.0)))
    assert summary_of(maker.folder)["means"]["test/weighted_f1"] == pytest.approx((68 + 69 + 71) / 3)
    assert f"{(68 + 69 + 71) / 3:.2f} ± {(high - low) / 2:.2f}" in page_of(maker.folder)


def test_markdown_keeps_its_columns_whatever_a_cell_holds():
    lines = Table(("setting", "score"), (("a|b", 70.0),), frozenset({0})).markdown().splitlines()
    assert lines[-1] == "| **a\\|b** | **70.00** |"


def test_inlined_figures_follow_the_theme():
    drawing = '<?xml version="1.0"?>\n<svg><g id="text_12"><text style="fill: #1F2A37">beta</text></g></svg>'
    assert inline(drawing) == '<svg><g><text style="fill: var(--ink)">beta</text></g></svg>'


def test_a_report_says_where_the_corpus_is_from_and_what_it_may_be_used_for(make_study, tmp_path):
    maker = make_study(tmp_path / "s", "train", card={"source": "a public page", "licence": "CC BY", "split_note": "n"})
    maker.finished({"seed": 0}, {"validation/weighted_f1": 60.0})
    found = {fact.name: fact.text for fact in provenance.facts(open_study(maker.folder))}
    assert (found["Corpus source"], found["Corpus licence"]) == ("a public page", "CC BY")
