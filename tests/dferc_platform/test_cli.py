"""The command line: help that teaches, one sentence for every mistake, and plans that run nothing."""

import errno
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from dferc.corpus import Corpus
from dferc.corpus.synthetic import TINY, generate
from dferc.errors import UserError
from dferc_platform.cli import app
from dferc_platform.cli.durations import duration
from dferc_platform.cli.errors import causes, explain
from dferc_platform.cli.options import base_config, read_numbers, read_seeds
from dferc_platform.cli.search import with_fixed
from dferc_platform.config import make_config
from dferc_platform.results import read_runs
from dferc_platform.spaces import read_space, space_problems

COMMANDS = [
    "train", "sweep", "compare", "study", "study beta", "predict", "report", "sync", "ui", "submit",
    "job", "job status", "job logs", "job stop",
    "data", "data make", "data import", "data import meld", "data import mosi", "data import features", "data extract",
    "data fetch", "data inspect", "data verify", "data card", "data diff",
]  # fmt: skip
GROUPS = ("study", "data", "data import", "job")


def dferc(*words: str | Path) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": "200", "TERM": "dumb"})


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DFERC_RESULTS", str(tmp_path / "results"))
    return tmp_path / "results"


@pytest.fixture(scope="module")
def corpus(workplace: Path) -> Path:
    return generate(TINY.model_copy(update={"missing": 0.0})).save(workplace / "cli" / "corpus.parquet")


@pytest.fixture
def broken(corpus: Path, tmp_path: Path) -> Callable[..., Path]:
    """A corpus file with some columns replaced, written behind the contract's back."""

    def write(**columns: Callable[[pa.Array], pa.Array]) -> Path:
        table = Corpus.open(corpus).table
        for name, change in columns.items():
            made = change(table[name.replace("__", ".")].combine_chunks())
            table = table.set_column(table.schema.names.index(name.replace("__", ".")), name.replace("__", "."), made)
        path = tmp_path / "broken.parquet"
        pq.write_table(table, path)
        return path

    return write


# ---------------------------------------------------------------------------------------------------------------- help


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_every_command_teaches(command: str) -> None:
    shown = dferc(*command.split(), "--help")
    assert shown.exit_code == 0
    assert (
        command in GROUPS
        or f"Example: dferc {command.split()[0]}" in shown.output
        or "Example: dferc --" in shown.output
    )


def test_help_names_every_command() -> None:
    shown = dferc("--help").output
    assert all(command in shown for command in COMMANDS if " " not in command)


def test_help_imports_nothing_heavy() -> None:
    heavy = ("torch", "ray", "mlflow", "optuna", "pyarrow")
    code = f"import sys, dferc_platform.cli; print([name for name in {heavy} if name in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_no_command_shows_help() -> None:
    assert "Usage" in dferc().output


# ------------------------------------------------------------------------------------------------------------ mistakes


def mistake(shown: Result, *said: str) -> None:
    """Exit code 2, nothing but the sentence, with these words in it."""
    assert shown.exit_code == 2, shown.output
    assert "Traceback" not in shown.output
    for words in said:
        assert words in shown.stderr


def test_unknown_key_in_a_config(results: Path, tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("model: {betta: 0.2}\ntraining: {epochz: 3}\n")
    mistake(dferc("train", "--config", path), "c.yaml has 2 problems", "did you mean beta?", "did you mean epochs?")
    assert not results.exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["train", "--config", "nowhere.yaml"], "there is no file nowhere.yaml"),
        (["train", "--set", "betta=1"], "did you mean beta?"),
        (["train", "--set", "beta"], "write NAME=VALUE"),
        (["train", "--set", "beta=-1"], "beta"),
        (["train", "--seeds", "a,b"], "--seeds a,b"),
        (["train", "--seeds", "-1"], "whole numbers from 0"),
        (["train", "--corpus", "nowhere.parquet"], "there is no corpus at"),
        (["sweep", "nowhere"], "there is no search space 'nowhere'"),
        (["sweep", "smoke", "--confirm-seeds", "x"], "--confirm-seeds x"),
        (["sweep", "smoke", "--resume", "--name", "never"], "--resume: there is no study"),
        (["sweep", "smoke", "--set", "beta=0.1"], "varied and fixed at once"),
        (["study", "beta", "--betas", "0,x"], "--betas 0,x"),
        (["study", "beta", "--betas", "-1", "--corpus", "synthetic"], "beta"),
        (["report", "nowhere"], "there is no folder nowhere"),
        (["sync", "nowhere"], "there is no folder nowhere"),
        (["predict", "nowhere", "d.json"], "there is no folder nowhere"),
        (["data", "import", "meld", "nowhere"], "there is no folder nowhere"),
        (["data", "inspect", "nowhere.parquet"], "there is no corpus at"),
        (["submit", "--working-dir", "nowhere", "--", "train"], "--working-dir nowhere is no folder"),
        (["submit", "--address", "http://127.0.0.1:9", "--", "train"], "no Ray cluster answers at http://127.0.0.1:9"),
        (["ui"], "there are no results yet"),
    ],
)
def test_mistakes_end_in_one_sentence(results: Path, words: list[str], said: str) -> None:
    mistake(dferc(*words), said)
    assert not list(results.glob("*/study.json"))


def test_space_that_names_what_the_model_lacks(results: Path, tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(
        "model: df_erc\ndescription: d\nbudget: {trials: 1}\n"
        "parameters:\n  betta: {kind: float, low: 0, high: 1}\n  beta: {kind: float, low: 1, high: 0}\n"
    )
    mistake(dferc("sweep", path), "s.yaml has", "did you mean beta?", "must be below high")


def test_not_parquet(results: Path, tmp_path: Path) -> None:
    path = tmp_path / "c.parquet"
    path.write_text("not parquet")
    mistake(dferc("data", "verify", path), "cannot be read as Parquet")
    mistake(dferc("train", "--corpus", path), "cannot be read as Parquet")


def test_nan_and_a_strange_label_are_named_together(results: Path, broken: Callable[..., Path]) -> None:
    def spoil(vectors: pa.FixedSizeListArray) -> pa.Array:
        values = np.array(vectors.values.to_numpy(zero_copy_only=False))
        values[:3] = np.nan
        return pa.FixedSizeListArray.from_arrays(pa.array(values), vectors.type.list_size)

    path = broken(features__audio=spoil, label=lambda labels: pa.array([99, *labels.to_pylist()[1:]], pa.int32()))
    shown = dferc("data", "verify", path)
    mistake(shown, "has 2 problems", "3 numbers that are NaN or infinite", "the first is 99")
    mistake(dferc("train", "--corpus", path), "NaN or infinite")


def test_wrong_width(results: Path, broken: Callable[..., Path]) -> None:
    def narrow(vectors: pa.FixedSizeListArray) -> pa.Array:
        return pa.FixedSizeListArray.from_arrays(pa.array(np.zeros(7 * len(vectors), np.float32)), 7)

    mistake(dferc("data", "verify", broken(features__audio=narrow)), "features.audio is fixed_size_list")


def test_overlapping_splits(results: Path, broken: Callable[..., Path]) -> None:
    def mix(split: pa.Array) -> pa.Array:
        return pa.array(["test", *split.to_pylist()[1:]])

    mistake(dferc("data", "verify", broken(split=mix)), "splits overlap")


@pytest.mark.parametrize(
    ("words", "said"),
    [(["--set", "modalities=[text"], "the value is not YAML"), (["--seeds", "0,inf"], "write numbers with commas")],
)
def test_values_that_cannot_be_read(results: Path, words: list[str], said: str) -> None:
    mistake(dferc("train", *words), said)


def test_a_config_file_outranks_what_the_space_fixes_but_not_what_it_varies(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("model: {hidden: 24, beta: 0.3}\ntraining: {epochs: 7}\n")
    space = read_space("beta_sensitivity")
    fixed = with_fixed(space, base_config(file, ["align=12"], None), file, ["align=12"], None)
    assert fixed.settings == {**space.settings, "hidden": 24, "epochs": 7, "align": 12}
    assert space_problems(fixed, make_config({})) == []


def test_unwritable_results(results: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results.write_text("a file where a folder should be")
    shown = dferc("train", "--corpus", corpus, "--set", "hidden=4")
    mistake(shown, str(results))


# ----------------------------------------------------------------------------------------------- errors made sentences


@pytest.mark.parametrize(
    ("number", "said"),
    [(errno.ENOSPC, "the disk is full at /r/x"), (errno.EACCES, "/r/x cannot be written (permission denied)")],
)
def test_disk_errors_become_sentences(number: int, said: str) -> None:
    sentence, code = explain(OSError(number, os.strerror(number), "/r/x"))
    assert said in sentence
    assert code == 2


def test_the_cause_is_found_inside_a_workers_error() -> None:
    class WorkerGroupError(Exception):
        worker_failures: dict[int, Exception]

    inner = RuntimeError("wrapped")
    inner.__cause__ = UserError("the corpus lacks labels")
    outer = WorkerGroupError("workers failed")
    outer.worker_failures = {1: inner}
    assert explain(outer) == ("the corpus lacks labels", 2)


def test_causes_end_where_errors_name_each_other() -> None:
    first, second = ValueError("a"), ValueError("b")
    first.__cause__, second.__cause__ = second, first
    assert list(causes(first)) == [first, second]


def test_an_interruption_says_how_to_go_on() -> None:
    sentence, code = explain(KeyboardInterrupt())
    assert "the same command goes on" in sentence
    assert code == 130


def test_the_unexpected_leaves_a_log(monkeypatch: pytest.MonkeyPatch, results: Path) -> None:
    def fail(path: Any) -> None:
        raise ZeroDivisionError("by accident")

    monkeypatch.setattr("dferc_platform.saved.open_corpus", fail)
    shown = dferc("data", "inspect", "x")
    assert shown.exit_code == 1
    log = Path(shown.stderr.strip().rsplit(" ", 1)[-1])
    assert "ZeroDivisionError: by accident; this is unexpected" in shown.stderr
    assert "in fail" in log.read_text()
    log.unlink()
    assert "Traceback" in dferc("--verbose", "data", "inspect", "x").output


# -------------------------------------------------------------------------------------------------------------- corpora


def test_make_then_verify_then_inspect(results: Path, tmp_path: Path) -> None:
    made = tmp_path / "new" / "tiny.parquet"
    assert dferc("data", "make", "--size", "tiny", "--seed", "3", "--out", made).exit_code == 0
    verified = dferc("data", "verify", made)
    assert verified.exit_code == 0
    assert "keeps the contract" in verified.output
    shown = dferc("data", "inspect", made)
    assert shown.exit_code == 0
    assert "train" in shown.output
    assert "neutral" in shown.output


def test_seed_makes_another_corpus(results: Path, tmp_path: Path) -> None:
    for seed in ("0", "1"):
        dferc("data", "make", "--size", "tiny", "--seed", seed, "--out", tmp_path / f"{seed}.parquet")
    one, other = (Corpus.open(tmp_path / f"{seed}.parquet").fingerprint for seed in ("0", "1"))
    assert one != other


# ---------------------------------------------------------------------------------------------------------------- plans


def costs_of(output: str) -> dict[str, list[str]]:
    """The rows of the table of costs: what they are of, and their cells, units apart."""
    lines = output.splitlines()
    head = next(i for i, line in enumerate(lines) if line.split()[:2] == ["runs", "epochs"])
    end = next(i for i, line in enumerate(lines) if i > head and line.startswith("At "))
    rows = (re.split(r"\s{2,}", line.strip()) for line in lines[head + 1 : end])
    return {row[0]: row[1:] for row in rows if row != [""]}


def test_dry_run_of_training(results: Path, corpus: Path) -> None:
    shown = dferc("train", "--corpus", corpus, "--set", "hidden=8", "--seeds", "0,1", "--epochs", "3", "--dry-run")
    assert shown.exit_code == 0, shown.output
    assert "2 of 2 runs (seeds 0, 1)" in shown.output
    steps = -(-len(Corpus.open(corpus).split("train")) // 2)  # 2 dialogues a batch
    assert f"At most 3 epochs a run, {steps} steps an epoch" in shown.output
    assert costs_of(shown.output)["runs"][:2] == ["2", "3"]
    assert "Estimated from a few steps on this machine" in shown.output
    assert not results.exists()


def test_dry_run_of_a_sweep(results: Path, corpus: Path) -> None:
    shown = dferc("sweep", "smoke", "--corpus", corpus, "--trials", "4", "--dry-run")
    assert shown.exit_code == 0, shown.output
    assert "Would run 4 trials of at most 2 epochs" in shown.output
    assert "beta: 0.01 to 1.0 (log)" in shown.output
    assert list(costs_of(shown.output)) == ["search"]
    confirmed = dferc("sweep", "smoke", "--corpus", corpus, "--trials", "4", "--confirm-seeds", "0,1,2", "--dry-run")
    rows = costs_of(confirmed.output)
    assert [rows[name][0] for name in ("search", "confirmation", "all")] == ["4", "3", "7"]
    assert re.search(r"At \d+ at a time about .* a run takes 1 CPU", confirmed.output)
    assert not results.exists()


def test_dry_run_of_a_comparison(results: Path, corpus: Path) -> None:
    words = ("compare", "--corpus", corpus, "--models", "bc_lstm,cmn", "--small", "--seeds", "0,1", "--dry-run")
    shown = dferc(*words, "--trials", "3", "--set", "batch_dialogues=4", "--set", "cmn.hops=1")
    assert shown.exit_code == 0, shown.output
    assert "Would compare 2 models" in shown.output
    assert "10 runs in all" in shown.output
    assert "cmn with batch_dialogues=4, hops=1" in shown.output
    rows = costs_of(shown.output)
    runs = [row[0] for row in rows.values()]
    assert list(rows) == ["bc_lstm, search", "bc_lstm, confirmed", "cmn, search", "cmn, confirmed", "all"]
    assert runs == ["3", "2", "3", "2", "10"]
    published = dferc(*words, "--trials", "0")
    assert "4 runs in all" in published.output
    assert not results.exists()


def test_settings_that_do_not_fit_a_comparison_are_named_at_once(results: Path, corpus: Path) -> None:
    refused = dferc("compare", "--models", "bc_lstm,cmn", "--set", "hopps=1", "--set", "cmn.dropout=7", "--dry-run")
    mistake(refused, "hopps is no setting of any model compared; did you mean hops?", "model.dropout = 7: ")
    assert not results.exists()


def test_what_a_trial_takes_is_a_number_or_auto(results: Path, corpus: Path) -> None:
    for words in (("--gpus-per-trial", "all"), ("--memory-per-trial", "-1"), ("--gpus-per-trial", "nan")):
        refused = dferc("sweep", "smoke", "--corpus", corpus, *words, "--dry-run")
        mistake(refused, f"{words[0]} {words[1]}: write a number of", "or auto")


def test_dry_run_of_the_beta_study(results: Path, corpus: Path) -> None:
    words = ["study", "beta", "--corpus", str(corpus), "--betas", "0,0.1", "--seeds", "0,1,2", "--epochs", "2"]
    shown = dferc(*words, "--set", "hidden=8", "--dry-run")
    assert shown.exit_code == 0, shown.output
    assert "Would run 6 trials of at most 2 epochs" in shown.output
    assert not results.exists()


# ----------------------------------------------------------------------------------------------------------- real work


SMALL = ("--set", "hidden=8", "--set", "align=8", "--set", "batch_dialogues=8", "--epochs", "1")


@pytest.mark.cluster
@pytest.mark.usefixtures("ray_cluster")
def test_training_with_seeds_and_an_absent_mlflow(results: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    words = ["train", "--corpus", corpus, *SMALL, "--seeds", "0,1", "--name", "seeds"]
    first = dferc(*words)
    assert first.exit_code == 0, first.output
    assert "mean ± 95 %" in first.output
    assert (results / "seeds" / "report" / "report.html").is_file()
    assert "dferc sync" in first.stderr

    again = dferc(*words)
    assert again.exit_code == 0
    assert "This is already trained" in again.output
    mistake(dferc(*words, "--set", "beta=0.3"), "holds another study", "choose another --name")

    mistake(dferc("sync", "seeds"), "127.0.0.1:9")
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert "Sent 2 runs" in dferc("sync", "seeds").output
    assert dferc("report", "seeds").exit_code == 0


@pytest.mark.cluster
@pytest.mark.usefixtures("ray_cluster")
def test_sweep_then_its_best_with_other_seeds(results: Path, corpus: Path) -> None:
    words = ["sweep", "smoke", "--corpus", corpus, *SMALL, "--trials", "2", "--name", "s", "--confirm-seeds", "1,2"]
    shown = dferc(*words)
    assert shown.exit_code == 0, shown.output
    assert "2 of 2 runs finished" in shown.output
    searched = read_runs(results / "s")
    best = max(searched, key=lambda row: row.metrics["validation/weighted_f1"])
    confirmed = read_runs(results / f"s-confirmed-{best.number}")
    assert not any(name.startswith("test/") for row in searched for name in row.metrics)
    assert [row.parameters["seed"] for row in confirmed] == [1, 2]
    assert all("test/weighted_f1" in row.metrics for row in confirmed)
    assert {row.parameters["learning_rate"] for row in confirmed} == {best.parameters["learning_rate"]}
    assert dferc(*words).exit_code == 0  # all is there: nothing runs again
    mistake(dferc(*words, "--set", "weight_decay=0.5"), "cannot be resumed")


@pytest.mark.cluster
@pytest.mark.usefixtures("ray_cluster")
def test_beta_study_ends_with_its_figure(results: Path, corpus: Path) -> None:
    words = ["study", "beta", "--corpus", str(corpus), *SMALL, "--betas", "0,0.5", "--seeds", "0,1", "--name", "b"]
    shown = dferc(*words)
    assert shown.exit_code == 0, shown.output
    figure = results / "b" / "report" / "figures" / "sensitivity.png"
    assert f"Figure: {figure}" in shown.output
    assert figure.is_file()
    assert len(read_runs(results / "b")) == 4


# -------------------------------------------------------------------------------------------------------- small readers


def test_lists_of_numbers() -> None:
    assert read_seeds("2,0,2") == [2, 0]
    assert read_numbers("0,0.1", "--betas") == [0.0, 0.1]
    with pytest.raises(UserError, match="--betas 1,,2"):
        read_numbers("1,,2", "--betas")


@pytest.mark.parametrize(("seconds", "words"), [(0.4, "0 s"), (89, "89 s"), (600, "10 min"), (7200, "2.0 h")])
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words
