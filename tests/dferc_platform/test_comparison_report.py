"""The report of a comparison, drawn from made-up folders: what it says must follow from the predictions alone."""

import csv
import json
import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import f1_score

from dferc.evaluation.metrics import score_classes
from dferc.evaluation.ranks import count_apart
from dferc.evaluation.statistics import bootstrap_difference, holm
from dferc.models import models
from dferc_platform.report import write_report
from dferc_platform.report.comparison import CONFIRMED, FAILURE, SEARCH, read_comparison, stage_folder
from dferc_platform.report.comparison_figures import spread
from dferc_platform.report.comparison_report import leaderboard
from dferc_platform.report.comparison_tables import classes_table, conditions_table, pairs_table, published_table
from dferc_platform.report.comparison_verdict import verdict
from dferc_platform.report.published import known_corpora, published
from dferc_platform.report.tables import Probability, Table

BASELINES = (
    "bc_lstm", "cmn", "cog_bart", "comp_m", "cosmic", "dag_erc", "dialog_xl", "dialogue_gcn", "dialogue_rnn",
    "dialogue_trm", "emo_caps", "hitrans", "icon", "m2fnet", "mm_dfn", "mmgcn", "skaig", "todkat", "uni_mse",
)  # fmt: skip
LABELS = ("neutral", "surprise", "fear", "sadness", "joy", "disgust", "anger")


class ComparisonMaker:
    """Writes a comparison model by model; better skill, more right predictions."""

    def __init__(self, folder, make_study, names, *, dialogues=40, seeds=3, corpus="meld", note="", small=False):
        self.folder, self.make_study, self.seeds = folder, make_study, seeds
        asked = {"models": list(names), "trials": 12, "seeds": list(range(seeds)), "epochs": None, "small": small}
        card = {
            "name": corpus,
            "source": "made up",
            "licence": "none",
            "split_note": "by dialogue",
            "speaker_note": note,
        }
        make_study(folder, "comparison", config={"comparison": asked}, card=card)
        rng = np.random.default_rng(0)
        lengths = rng.integers(2, 25, dialogues)
        self.dialogue = np.repeat([f"d{number:03d}" for number in range(dialogues)], lengths)
        self.turn = np.concatenate([np.arange(length) for length in lengths])
        party = rng.integers(0, 2, len(self.turn))
        self.speaker = np.array([f"{d}-{p}" for d, p in zip(self.dialogue, party, strict=True)], dtype=object)
        self.seen = party == 0
        self.label = rng.choice(7, len(self.turn), p=[0.45, 0.11, 0.03, 0.08, 0.16, 0.03, 0.14])
        self.label[rng.random(len(self.turn)) < 0.03] = -1
        self.noise = rng.random(len(self.turn))

    def model(self, name, skill, *, extras=True, seeds=None, backbone=None, seen=True):
        """A searched model whose seeds get about this share of the utterances right."""
        rng = np.random.default_rng(sum(map(ord, name)))
        search = self.make_study(stage_folder(self.folder, name, SEARCH), "sweep", model=name)
        for trial in range(12):
            search.finished({"beta": 0.1 * trial}, {"validation/weighted_f1": 100 * skill - abs(rng.normal(0, 6))})
        confirmed = self.make_study(stage_folder(self.folder, name, CONFIRMED), "train", model=name)
        for seed in range(self.seeds if seeds is None else seeds):
            hard = 0.55 * self.noise + 0.45 * rng.random(len(self.turn)) < skill
            predicted = np.where(hard & (self.label >= 0), self.label, rng.integers(0, 7, len(self.turn)))
            known = self.label >= 0
            scores = score_classes(self.label[known], predicted[known], LABELS)
            metrics = {"validation/weighted_f1": 100 * skill} | scores.as_metrics("test")
            folder = confirmed.finished({"seed": seed}, metrics, labels=LABELS)
            if extras:
                gap = float(rng.uniform(0.2, 2.5))
                content = json.loads((folder / "result.json").read_text())
                content["metrics"] |= {"published/test/weighted_f1": scores.weighted_f1 + gap, "optimism_gap": gap}
                content["memory"] = {"peak_mb": 900.0 + 10 * seed}
                (folder / "result.json").write_text(json.dumps(content))
            self.predictions(folder / "predictions.parquet", predicted, seen)
            if backbone:
                content = yaml.safe_load((folder / "config.yaml").read_text())
                content["model"]["backbone"] = backbone
                (folder / "config.yaml").write_text(yaml.safe_dump(content))
        return confirmed

    def predictions(self, path, predicted, seen):
        """What a run says of test."""
        table = pa.table(
            {
                "dialogue": self.dialogue.tolist(),
                "turn": pa.array(self.turn, pa.int32()),
                "speaker": self.speaker.tolist(),
                "split": ["test"] * len(self.turn),
                "label": pa.array(self.label, pa.int32(), mask=self.label < 0),
                "predicted": pa.array(predicted, pa.int32()),
            }
        )
        pq.write_table(table.append_column("seen", pa.array(self.seen)) if seen else table, path)

    def failed(self, name, error):
        """A model that never got there."""
        (self.folder / name).mkdir(parents=True)
        (self.folder / name / FAILURE).write_text(json.dumps({"error": error}))


@pytest.fixture
def make_comparison(make_study, tmp_path):
    """A maker of comparisons: ``make_comparison(["df_erc", "bc_lstm"], corpus="mosi")``."""
    return lambda names, **options: ComparisonMaker(tmp_path / "compare", make_study, names, **options)


@pytest.fixture(scope="module")
def compared(make_study, tmp_path_factory):
    """Five models, one of which failed, one of which lacks a seed and one of which is older than the extras."""
    names = ["df_erc", "bc_lstm", "cmn", "hitrans", "todkat"]
    maker = ComparisonMaker(tmp_path_factory.mktemp("made") / "compare", make_study, names, note="a character's name")
    maker.model("df_erc", 0.62)
    maker.model("bc_lstm", 0.617, seeds=2)
    maker.model("cmn", 0.45, extras=False)
    maker.model("hitrans", 0.625, backbone="models/bert-base-uncased")
    maker.failed("todkat", "out of memory")
    write_report(maker.folder)
    return maker


def column(table, name):
    """Cells of a column by the model of their row."""
    place = table.columns.index(name)
    return {row[0]: row[place] for row in table.rows}


def page_of(folder):
    return (folder / "report" / "report.html").read_text(encoding="utf-8")


def test_leaderboard_says_what_the_runs_say(compared):
    found = read_comparison(compared.folder)
    table = leaderboard(found)
    assert [row[0] for row in table.rows] == ["hitrans", "df_erc", "bc_lstm", "cmn", "todkat"]
    runs = {s.entry.model: s.entry.runs for s in found.standings}
    for name, metric in (("best test epoch", "published/test/weighted_f1"), ("optimism gap", "optimism_gap")):
        cells = column(table, name)
        assert cells["cmn"] is cells["todkat"] is None
        values = [run.metrics[metric] for run in runs["df_erc"]]
        low, high = stats.t.interval(0.95, 2, np.mean(values), stats.sem(values))
        assert [cells["df_erc"].mean, cells["df_erc"].low, cells["df_erc"].high] == pytest.approx(
            [np.mean(values), low, high]
        )
    assert column(table, "peak memory (MB)") == {
        "hitrans": 910, "df_erc": 910, "bc_lstm": 905, "cmn": None, "todkat": None
    }  # fmt: skip
    assert column(table, "seconds of training")["cmn"] == 9.0
    assert column(table, "parameters (M)")["cmn"] == 1.234567
    assert column(table, "text backbone")["hitrans"] == "bert-base-uncased"
    assert column(table, "text backbone")["df_erc"] is None
    assert column(table, "published")["df_erc"] == 67.03
    assert column(table, "trials") == {"hitrans": 12, "df_erc": 12, "bc_lstm": 12, "cmn": 12, "todkat": 0}
    assert table.marked == {1}


def test_distances_are_those_of_the_clustered_bootstrap(compared):
    found = read_comparison(compared.folder)
    ours, theirs = found.scored["bc_lstm"], found.scored["df_erc"]
    expected = bootstrap_difference(compared.label, ours.predicted, theirs.predicted, compared.dialogue)
    standing = next(s for s in found.standings if s.entry.model == "bc_lstm")
    assert standing.difference == expected
    others = [s for s in found.finished if s.entry.model != "df_erc"]
    assert [s.p for s in others] == holm([s.difference.p for s in others])


def test_conditions_are_scored_on_their_own_utterances(compared):
    found = read_comparison(compared.folder)
    table = conditions_table(found)
    known = compared.label >= 0
    masks = {
        "turn 1": (compared.turn == 0) & known,
        "turns 5–9": (compared.turn >= 4) & (compared.turn <= 8) & known,
        "seen speakers": compared.seen & known,
        "unseen speakers": ~compared.seen & known,
    }
    for name, mask in masks.items():
        cells = column(table, f"{name} (n={mask.sum()})")
        seeds = found.scored["hitrans"].predicted
        expected = np.mean([f1_score(compared.label[mask], seed[mask], average="weighted") for seed in seeds])
        assert cells["hitrans"] == pytest.approx(100 * expected)
    shift = [re.fullmatch(r"(.*) \(n=(\d+)\)", name) for name in table.columns[1:4]]
    assert [match[1] for match in shift] == ["speaker's first", "emotion kept", "emotion shift"]
    assert sum(int(match[2]) for match in shift) == known.sum()
    assert "A speaker's name: a character's name." in table.note


def test_classes_are_means_over_seeds_under_their_support(compared):
    found = read_comparison(compared.folder)
    cells = column(classes_table(found), f"joy (n={(compared.label == 4).sum()})")
    runs = next(s.entry.runs for s in found.standings if s.entry.model == "cmn")
    assert cells["cmn"] == pytest.approx(np.mean([run.metrics["test/f1/joy"] for run in runs]))
    assert len(cells) == 4


def test_the_best_of_every_column_is_stressed(compared):
    table = classes_table(read_comparison(compared.folder))
    for place in range(1, len(table.columns)):
        cells = [row[place] for row in table.rows]
        assert {row for row, at in table.strong if at == place} == {i for i, c in enumerate(cells) if c == max(cells)}


def test_pairs_stand_in_order_of_rank_and_once_each(compared):
    found = read_comparison(compared.folder)
    table, names = pairs_table(found), list(found.scored)
    ranks = [row[1] for row in table.rows]
    assert ranks == sorted(ranks)
    for row, cells in enumerate(table.rows):
        for at, cell in enumerate(cells[2:]):
            assert (cell != "") == (at < row)
            if cell != "":
                a, b = (names.index(table.rows[place][0].split()[1]) for place in (row, at))
                assert cell == found.ranking.pairs[a, b]
                assert ((row, at + 2) in table.strong) == (found.ranking.pairs[a, b] < 0.05)


def test_the_verdict_counts_what_can_be_told_apart_and_names_who_failed(compared):
    found = read_comparison(compared.folder)
    said = " ".join(verdict(found))
    told = [s for s in found.finished if s.p is not None and s.p < 0.05]
    assert [s.entry.model for s in told] == ["cmn"]
    assert (
        "1 of 3 other models can be told apart from df_erc in weighted F1; worse: cmn. 2 cannot: hitrans, bc_lstm."
        in said
    )
    assert "These tests speak of other dialogues, not of other seeds." in said
    apart, pairs = count_apart(found.ranking)
    assert 0 < apart < pairs == 6
    assert f"Of all 6 pairs, {apart} can be told apart and {6 - apart} cannot, by the accuracy in each of 40" in said
    assert f"{(found.ranking.pairs[0, 1:] >= 0.05).sum()} of the other 3 cannot be told apart from it" in said
    assert "Failed, and without a score: todkat." in said
    assert "Not every model has all its 3 seeds (bc_lstm 2)" in said
    assert "an encoder that they train, hitrans (models/bert-base-uncased)." in said
    gaps = [s.entry.interval("optimism_gap").mean for s in found.finished if s.entry.model != "cmn"]
    assert f"would have added {np.mean(gaps):.2f} points" in said


def test_every_table_is_written_three_ways_and_stands_on_the_page(compared):
    report, page = compared.folder / "report", page_of(compared.folder)
    files = {path.name for path in (report / "tables").iterdir()}
    assert files == {
        f"{name}.{end}" for name in ("published", "conditions", "classes", "pairs") for end in ("csv", "md", "tex")
    }
    with (report / "tables" / "published.csv").open(encoding="utf-8") as file:
        rows = {row["model"]: row for row in csv.DictReader(file)}
    assert "macro F1" in rows["todkat"]["source"]
    assert rows["todkat"]["published weighted F1"] == "65.47"
    assert rows["cmn"] == {"model": "cmn", "published weighted F1": "", "source": "no number was found"}
    for title in (
        "What was published",
        "Scores by kind of utterance",
        "Scores by class",
        "Which pairs can be told apart",
    ):
        assert f"<h2>{title}</h2>" in page
    for row in classes_table(read_comparison(compared.folder)).rows:
        assert f"<td>{row[0]}</td>" in page
    assert page.count("<svg") == 3
    assert {path.stem for path in (report / "figures").iterdir()} == {"leaderboard", "critical-difference", "budget"}
    assert "it may be no weighted F1 at all" in (report / "table.md").read_text() + page
    assert "nan" not in re.sub(r"<svg.*?</svg>", "", page, flags=re.DOTALL).lower()


def test_writing_again_gives_the_same_bytes(compared):
    before = {path: path.read_bytes() for path in (compared.folder / "report").rglob("*") if path.is_file()}
    write_report(compared.folder)
    assert {path: path.read_bytes() for path in (compared.folder / "report").rglob("*") if path.is_file()} == before


def test_summary_for_programs(compared):
    found = read_comparison(compared.folder)
    summary = json.loads((compared.folder / "report" / "summary.json").read_text())
    rows = {row["model"]: row for row in summary["models"]}
    assert summary["ranks"]["pairs"] == 6
    assert rows["hitrans"]["average_rank"] == found.ranking.mean_ranks[0]
    assert rows["cmn"]["optimism_gap"] is None
    assert rows["todkat"]["error"] == "out of memory"
    assert rows["todkat"]["published"]["caution"]


def test_seeds_that_failed_and_warnings_are_listed(make_comparison):
    maker = make_comparison(["df_erc", "bc_lstm"])
    confirmed = maker.model("df_erc", 0.6, seeds=2)
    confirmed.ended({"seed": 2}, "FAILED", "the loss is not finite at epoch 4")
    path = maker.model("bc_lstm", 0.5).folder / "runs" / "run0000" / "result.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"warnings": ["fusion weights hardly move"]}))
    page = write_report(maker.folder).read_text(encoding="utf-8")
    assert "<td>df_erc: seed = 2</td><td><strong>FAILED</strong> the loss is not finite at epoch 4</td>" in page
    assert "<td>bc_lstm: seed = 0</td><td>fusion weights hardly move</td>" in page


def test_two_models_have_no_ranks_and_one_seed_no_interval(make_comparison):
    maker = make_comparison(["df_erc", "bc_lstm"], corpus="mosi", seeds=1)
    maker.model("df_erc", 0.6)
    maker.model("bc_lstm", 0.5)
    page = write_report(maker.folder).read_text(encoding="utf-8")
    assert not (maker.folder / "report" / "tables" / "pairs.csv").exists()
    assert not (maker.folder / "report" / "figures" / "critical-difference.svg").exists()
    assert "Average ranks are not shown: they need at least three models" in page
    assert "No published scores are recorded for the corpus mosi." in page
    assert "One seed a model says nothing of how much seeds matter." in page
    assert "nan" not in re.sub(r"<svg.*?</svg>", "", page, flags=re.DOTALL).lower()
    assert "text backbone" not in leaderboard(read_comparison(maker.folder)).columns


@pytest.mark.parametrize(
    ("seen", "kept", "expected"),
    [
        (False, True, "no test speaker's name occurs in train (a speaker's name: the id of the video)"),
        (True, True, "every test speaker's name occurs in train"),
        (True, False, "the runs did not keep who speaks in train"),
    ],
)
def test_seen_speakers_are_left_out_where_they_tell_nothing(make_comparison, seen, kept, expected):
    maker = make_comparison(["df_erc", "bc_lstm"], note="the id of the video")
    maker.seen[:] = seen
    for name in ("df_erc", "bc_lstm"):
        maker.model(name, 0.5, seen=kept)
    assert expected in write_report(maker.folder).read_text(encoding="utf-8").replace("&#39;", "'")
    assert not [name for name in conditions_table(read_comparison(maker.folder)).columns if "speakers" in name]


def test_a_comparison_that_searched_nothing_says_so(make_comparison):
    maker = make_comparison(["df_erc"])
    path = maker.folder / "study.json"
    study = json.loads(path.read_text())
    study["config"]["comparison"] |= {"trials": 0, "recipe": "meld", "settings": {"hitrans.backbone": "a/folder"}}
    path.write_text(json.dumps(study))
    maker.model("df_erc", 0.5)
    page = write_report(maker.folder).read_text(encoding="utf-8")
    assert "1 model, none searched, each trained with its given settings and 3 seeds" in page
    assert "hitrans.backbone = a/folder" in page
    assert "what was published for meld" in page


def test_a_single_model_is_not_compared(make_comparison):
    maker = make_comparison(["bc_lstm", "cmn"], small=True)
    maker.model("bc_lstm", 0.5)
    write_report(maker.folder)
    said = verdict(read_comparison(maker.folder))
    assert said[0].startswith("Only bc_lstm has a score")
    assert "Not finished yet: cmn." in said
    assert "these scores mean nothing" in said[-1]


def test_trials_that_were_stopped_count_in_the_budget(make_comparison):
    maker = make_comparison(["df_erc"])
    maker.model("df_erc", 0.6)
    folder = stage_folder(maker.folder, "df_erc", SEARCH) / "runs" / "run0003"
    (folder / "result.json").unlink()
    (folder / "verdict.json").write_text(json.dumps({"status": "PRUNED", "varied": {}, "error": None, "number": 3}))
    entry = read_comparison(maker.folder).standings[0].entry
    reached = [
        json.loads(line)["validation/weighted_f1"] for line in (folder / "history.jsonl").read_text().splitlines()
    ]
    assert len(entry.searched) == entry.trials == 12
    assert entry.searched[3] == max(reached)


def test_every_model_has_an_entry_in_the_published_scores():
    for name in {*models(), *BASELINES}:
        for corpus in known_corpora():
            entry = published(name, corpus)
            assert entry is not None, f"published.yaml says nothing of {name} on {corpus}"
            assert entry.source.strip()
            assert entry.weighted_f1 is None or 50 < entry.weighted_f1 < 80
    assert len(BASELINES) == 19
    assert known_corpora() == {"iemocap", "meld"}


def test_todkats_number_carries_its_warning():
    entry = published("todkat", "MELD")
    assert "macro" in entry.caution
    assert "micro" in entry.caution


def test_nothing_is_known_of_other_corpora():
    assert published("df_erc", "mosi") is None
    assert published("a_model_of_ones_own", "meld") is None


def test_published_table_names_a_model_of_ones_own(make_comparison):
    maker = make_comparison(["df_erc", "mine"])
    maker.model("df_erc", 0.5)
    maker.model("mine", 0.4)
    assert column(published_table(read_comparison(maker.folder)), "source")["mine"] == "not recorded"


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12), st.floats(0.01, 0.08))
def test_labels_are_pushed_apart_and_no_further(places, room):
    places = np.sort(places)[::-1]
    found = spread(places, room)
    assert (np.diff(found) <= -room + 1e-9).all()
    assert found.min() >= -1e-9
    assert found.max() <= 1 + 1e-9
    if len(places) == 1 or (np.diff(places) <= -room).all():
        fits = places >= room * np.arange(len(places))[::-1] - 1e-12
        assert np.allclose(found[fits], places[fits])


@pytest.mark.parametrize(("p", "shown"), [(0.00042, "<0.001"), (0.001, "0.001"), (0.0456, "0.046"), (1.0, "1.000")])
def test_p_values_are_short_to_a_reader_and_whole_to_a_program(p, shown):
    table = Table(("p", "q"), (("x", Probability(p)),))
    assert table.texts() == [["x", shown]]
    assert table.csv().splitlines()[1] == f"x,{p}"
    assert f"x & {shown.replace('<', '$<$')} " in table.latex()


def test_stressed_cells_and_columns_of_words():
    table = Table(("a", "b", "c"), (("x", 1.0, "one_word"), ("y", 2.0, "two")), strong=frozenset({(1, 1)}), prose=True)
    assert table.markdown().splitlines()[-1] == "| y | **2.00** | two |"
    assert r"\begin{tabular}{lrp{.6\linewidth}}" in table.latex()
    assert r"y & \textbf{2.00} & two \\" in table.latex()
