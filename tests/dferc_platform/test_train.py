"""A run: what it leaves behind, that resuming changes nothing, that test is touched once."""

import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch

from dferc.errors import UserError
from dferc_platform import train
from dferc_platform.checkpoint import OPTIMISER, SEAL, STATE, WEIGHTS, checkpoints
from dferc_platform.config import make_config
from dferc_platform.memory import PeakMemory
from dferc_platform.optimism import optimism
from dferc_platform.saved import load_model
from dferc_platform.train import train_run

SETTINGS = {
    "model": {"hidden": 8, "align": 6, "prototypes": "cumulative"},
    "training": {"epochs": 4, "batch_dialogues": 4, "warmup_steps": 2, "learning_rate": 3e-3},
}
CLOCK = ("epoch_seconds",)


@pytest.fixture(scope="module")
def config():
    return make_config(SETTINGS)


@pytest.fixture(scope="module")
def undisturbed(config, corpus, tmp_path_factory):
    return train_run(config, corpus, tmp_path_factory.mktemp("undisturbed"))


class StopAt:
    """Ends the run after some epoch, as a killed process would."""

    def __init__(self, epoch):
        self.epoch = epoch

    def report(self, metrics, checkpoint):
        if metrics["epoch"] == self.epoch:
            raise KeyboardInterrupt


def timeless(history):
    return [{name: value for name, value in line.items() if name not in CLOCK} for line in history]


def interrupted(config, corpus, folder, epoch):
    with pytest.raises(KeyboardInterrupt):
        train_run(config, corpus, folder, StopAt(epoch))


def assert_equal_runs(first, second):
    assert first.metrics == second.metrics
    assert first.key == second.key
    torch.testing.assert_close(timeless(first.history), timeless(second.history), rtol=0, atol=0, equal_nan=True)
    weights = [load_model(result.folder)[0].state_dict() for result in (first, second)]
    torch.testing.assert_close(weights[0], weights[1], rtol=0, atol=0)
    assert pq.read_table(first.folder / "predictions.parquet") == pq.read_table(second.folder / "predictions.parquet")


def test_the_run_folder_is_whole(undisturbed, corpus):
    folder = undisturbed.folder
    result = json.loads((folder / "result.json").read_text())
    assert result["status"] == "FINISHED"
    assert result["fingerprint"] == corpus.fingerprint
    assert result["metrics"] == undisturbed.metrics
    assert result["epochs"] == len(undisturbed.history) == 4
    best = max(undisturbed.history, key=lambda line: line["validation/weighted_f1"])
    assert result["best_epoch"] == best["epoch"]
    assert result["metrics"]["validation/weighted_f1"] == pytest.approx(best["validation/weighted_f1"], abs=1e-3)
    predictions = pq.read_table(folder / "predictions.parquet").to_pydict()
    scored = sum(len(d) for split in ("validation", "test") for d in corpus.split(split))
    assert len(predictions["label"]) == scored
    assert set(predictions["split"]) == {"validation", "test"}


def test_the_same_run_twice_gives_the_same_numbers(undisturbed, config, corpus, tmp_path):
    assert_equal_runs(undisturbed, train_run(config, corpus, tmp_path))


@pytest.mark.parametrize("epoch", [1, 3])
def test_resuming_changes_nothing(undisturbed, config, corpus, tmp_path, epoch):
    interrupted(config, corpus, tmp_path, epoch)
    assert_equal_runs(undisturbed, train_run(config, corpus, tmp_path))


def test_a_finished_run_is_not_trained_again(undisturbed, config, corpus, monkeypatch):
    monkeypatch.setattr(train, "Run", None)
    assert train_run(config, corpus, undisturbed.folder).metrics == undisturbed.metrics


def cut_short(file):
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def flip_a_bit(file):
    """Of the last byte: in weights and moments a number's, in JSON the bracket that closes it."""
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


def lose(file):
    file.unlink()


@pytest.mark.parametrize("damage", [cut_short, flip_a_bit, lose])
@pytest.mark.parametrize("name", [WEIGHTS, OPTIMISER, STATE, SEAL])
def test_a_damaged_checkpoint_costs_an_epoch_not_the_run(
    undisturbed, config, corpus, tmp_path, name, damage, caplog, monkeypatch
):
    interrupted(config, corpus, tmp_path, 3)
    newest = checkpoints(tmp_path / "last")[-1]
    damage(newest / name)
    trained = []
    honest = train.train_epoch
    monkeypatch.setattr(train, "train_epoch", lambda *given: trained.append(given[-1]) or honest(*given))
    assert_equal_runs(undisturbed, train_run(config, corpus, tmp_path))
    assert trained == [3, 4]
    assert f"{newest} is damaged" in caplog.text


def test_with_every_checkpoint_damaged_the_run_begins_anew(undisturbed, config, corpus, tmp_path):
    interrupted(config, corpus, tmp_path, 3)
    for checkpoint in checkpoints(tmp_path / "last"):
        flip_a_bit(checkpoint / WEIGHTS)
    assert_equal_runs(undisturbed, train_run(config, corpus, tmp_path))


@pytest.mark.parametrize("damage", [cut_short, flip_a_bit, lose])
def test_damaged_chosen_weights_are_made_again(undisturbed, config, corpus, tmp_path, damage, caplog):
    interrupted(config, corpus, tmp_path, 4)
    damage(tmp_path / "best" / WEIGHTS)
    assert_equal_runs(undisturbed, train_run(config, corpus, tmp_path))
    assert "the run is trained anew" in caplog.text


def test_what_a_killed_process_left_of_a_checkpoint_is_cleared_away(config, corpus, tmp_path):
    interrupted(config, corpus, tmp_path, 1)
    half = tmp_path / "last" / ".epoch-0002"
    half.mkdir()
    (half / WEIGHTS).write_bytes(b"half")
    train_run(config, corpus, tmp_path)
    assert [path.name for path in sorted((tmp_path / "last").iterdir())] == ["epoch-0003", "epoch-0004"]


def test_a_crash_between_the_files_of_an_epoch_changes_nothing(undisturbed, config, corpus, tmp_path, monkeypatch):
    """The best weights are newer than the newest checkpoint: the epoch is trained again, with the same outcome."""
    interrupted(config, corpus, tmp_path, 2)
    shutil.rmtree(checkpoints(tmp_path / "last")[-1])
    assert_equal_runs(undisturbed, train_run(config, corpus, tmp_path))


def test_a_sealed_test_split_is_never_evaluated(config, corpus, tmp_path, monkeypatch):
    asked = []
    honest = type(corpus).split
    monkeypatch.setattr(type(corpus), "split", lambda self, name: asked.append(name) or honest(self, name))
    result = train_run(config.model_copy(update={"score_test": False}), corpus, tmp_path)
    assert "test" not in asked
    assert not any(name.startswith("test/") for name in result.metrics)


def test_strict_looks_at_test_once_after_the_choice(config, corpus, tmp_path, monkeypatch):
    looked = []
    honest = train.evaluate
    monkeypatch.setattr(
        train,
        "evaluate",
        lambda learner, c, d: looked.append(d == c.split("test")) or honest(learner, c, d),
    )
    train_run(config, corpus, tmp_path)
    assert looked.count(True) == 1
    assert looked[-1]


def test_published_chooses_on_test(config, corpus, tmp_path):
    published = config.model_copy(update={"protocol": "published"})
    result = train_run(published, corpus, tmp_path)
    best = max(line["test/weighted_f1"] for line in result.history)
    assert result.metrics["test/weighted_f1"] == pytest.approx(best, abs=1e-3)
    assert json.loads((tmp_path / "result.json").read_text())["protocol"] == "published"


def test_patience_ends_a_run(corpus, tmp_path):
    config = make_config(SETTINGS | {"training": SETTINGS["training"] | {"epochs": 50, "patience": 2}})
    result = train_run(config, corpus, tmp_path)
    best = json.loads((tmp_path / "result.json").read_text())["best_epoch"]
    assert len(result.history) == best + 2 < 50


def test_a_corpus_without_a_split_is_refused(make_corpus, config, tmp_path):
    with pytest.raises(UserError, match="no labelled utterance in test: a run needs all of train, validation, test"):
        train_run(config, make_corpus([3, 4, 2, 5]), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_model_that_is_loaded_is_the_model_that_was_chosen(undisturbed, corpus):
    from dferc.corpus import collate

    model, _, task = load_model(undisturbed.folder)
    dialogue = corpus.split("test")[0]
    with torch.no_grad():
        output = model(collate(corpus, [dialogue], model.modalities))
    said = pq.read_table(undisturbed.folder / "predictions.parquet", filters=[("dialogue", "=", dialogue.id)])
    for number, name in enumerate(task.labels):
        probabilities = torch.softmax(output.logits[0], -1)[:, number]
        torch.testing.assert_close(
            probabilities, torch.tensor(said[f"probability.{name}"].to_pylist()), rtol=1e-4, atol=1e-5
        )


def test_a_failure_signature_is_said_once_and_only_when_it_lasts(corpus, tmp_path, caplog, monkeypatch):
    fired = iter([["spread 0.1"], [], ["spread 0.2"], ["spread 0.3"], ["spread 0.4"], []])
    monkeypatch.setattr(train, "warnings", lambda _: next(fired, []))
    config = make_config(SETTINGS | {"training": SETTINGS["training"] | {"epochs": 5, "patience": 5}})
    train_run(config, corpus, tmp_path)
    said = [record.getMessage() for record in caplog.records if record.name == train.__name__]
    assert said == ["epoch 4: spread 0.3"]


@pytest.fixture(scope="module")
def optimistic(config):
    return config.model_copy(update={"optimism": True})


@pytest.fixture(scope="module")
def beside(optimistic, corpus, tmp_path_factory):
    """The undisturbed run again, with test scored under a seal."""
    return train_run(optimistic, corpus, tmp_path_factory.mktemp("beside"))


def sealed(folder):
    return {path.name: json.loads(path.read_text()) for path in sorted((folder / "sealed").iterdir())}


def strict_part(metrics):
    return {name: value for name, value in metrics.items() if name.startswith(("validation/", "test/"))}


def test_sealed_scores_change_nothing_of_the_run(undisturbed, beside):
    assert strict_part(beside.metrics) == undisturbed.metrics
    assert timeless(beside.history) == timeless(undisturbed.history)
    kept = ("best/model.safetensors", "last/epoch-0004/model.safetensors", "last/epoch-0004/optimiser.safetensors")
    assert all((beside.folder / f).read_bytes() == (undisturbed.folder / f).read_bytes() for f in kept)
    predictions = [pq.read_table(run.folder / "predictions.parquet") for run in (undisturbed, beside)]
    assert predictions[0] == predictions[1]
    known = [beside.folder / "history.jsonl", *beside.folder.glob("last/*/state.json")]
    assert not [path for path in known if "test/" in path.read_text()]


def test_sealed_scores_are_those_that_the_published_habit_sees(config, beside, corpus, tmp_path):
    habit = train_run(config.model_copy(update={"protocol": "published"}), corpus, tmp_path)
    seen = [{n: v for n, v in line.items() if n == "epoch" or n.startswith("test/")} for line in habit.history]
    assert list(sealed(beside.folder).values()) == seen
    best = max(seen, key=lambda line: line["test/weighted_f1"])
    assert {n: v for n, v in beside.metrics.items() if n.startswith("published/")} == pytest.approx(
        {f"published/{name}": value for name, value in best.items()}, abs=1e-3
    )
    gap = best["test/weighted_f1"] - beside.metrics["test/weighted_f1"]
    assert beside.metrics["optimism_gap"] == pytest.approx(gap, abs=1e-3)
    assert beside.metrics["optimism_gap"] >= 0


@pytest.mark.parametrize("lost", [False, True])
def test_resuming_gives_the_same_sealed_scores(beside, optimistic, corpus, tmp_path, lost):
    interrupted(optimistic, corpus, tmp_path, 3)
    if lost:  # as after a crash between the sealed scores of an epoch and its checkpoint
        shutil.rmtree(checkpoints(tmp_path / "last")[-1])
    assert_equal_runs(beside, train_run(optimistic, corpus, tmp_path))
    assert sealed(tmp_path) == sealed(beside.folder)


def test_nothing_but_the_conclusion_reads_sealed_scores(beside, optimistic, corpus, tmp_path):
    class Forger:
        """Gives the first epoch a score that would win."""

        def report(self, metrics, checkpoint):
            assert not [name for name in metrics if "test/" in name]
            forged = {"epoch": 1, "test/weighted_f1": 101.0}
            (tmp_path / "sealed" / "epoch-0001.json").write_text(json.dumps(forged))

    result = train_run(optimistic, corpus, tmp_path, Forger())
    assert strict_part(result.metrics) == strict_part(beside.metrics)
    assert timeless(result.history) == timeless(beside.history)
    assert (result.metrics["published/epoch"], result.metrics["published/test/weighted_f1"]) == (1, 101.0)


def test_an_epoch_whose_test_probabilities_are_not_finite_is_not_sealed(
    beside, optimistic, corpus, tmp_path, monkeypatch
):
    honest, calls = train.score, []

    def score(labels, probabilities, names):
        calls.append(len(labels))
        if len(calls) == 2:  # validation and test take turns
            raise UserError("the model's probabilities are NaN or infinite")
        return honest(labels, probabilities, names)

    monkeypatch.setattr(train, "score", score)
    result = train_run(optimistic, corpus, tmp_path)
    assert strict_part(result.metrics) == strict_part(beside.metrics)
    assert list(sealed(tmp_path)) == list(sealed(beside.folder))[1:]


def test_the_gap_is_one_of_the_score_that_chooses():
    strict = {"test/weighted_f1": 50.0, "test/macro_f1": 40.0, "validation/macro_f1": 99.0}
    lines = [
        {"epoch": 1, "test/weighted_f1": 60.0, "test/macro_f1": 30.0},
        {"epoch": 2, "test/weighted_f1": 49.9, "test/macro_f1": 41.0},
        {"epoch": 3, "test/weighted_f1": 49.0, "test/macro_f1": 41.0},
    ]
    by_weighted, by_macro = optimism(lines, strict, 3, "weighted_f1"), optimism(lines, strict, 3, "macro_f1")
    assert (by_weighted["published/epoch"], by_weighted["optimism_gap"]) == (1, 10.0)
    assert by_macro == {
        "published/epoch": 2, "published/test/weighted_f1": 49.9, "published/test/macro_f1": 41.0, "optimism_gap": 1.0
    }  # fmt: skip
    assert optimism([lines[2]], strict, 3, "weighted_f1")["optimism_gap"] == 0  # the strict score is of this epoch


def test_a_result_says_what_memory_the_run_took(undisturbed):
    memory = json.loads((undisturbed.folder / "result.json").read_text())["memory"]
    assert memory["device"] == "cpu"
    assert 0 < memory["peak_mb"] < memory["process_mb"]


def test_peak_memory_sees_what_was_freed_again_and_not_what_was_there_before():
    before = torch.ones(200 * 2**18)  # of 1 MB each
    watched = PeakMemory("cpu")
    torch.ones(100 * 2**18)
    assert 80 < watched.read()["peak_mb"] < 160
    assert watched.read()["process_mb"] > len(before) / 2**18 + 80


def test_memory_that_cannot_be_measured_is_zero_and_no_error(monkeypatch):
    monkeypatch.setattr("dferc_platform.memory._resident", lambda name: float("not a number"))
    monkeypatch.setattr("dferc_platform.memory.FORGET", Path("/nowhere/clear_refs"))
    assert PeakMemory("cpu").read() == {"peak_mb": 0.0, "device": "cpu", "process_mb": 0.0}
