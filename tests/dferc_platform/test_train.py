"""A run: what it leaves behind, that resuming changes nothing, that test is touched once."""

import json
import shutil

import pyarrow.parquet as pq
import pytest
import torch

from dferc.errors import UserError
from dferc_platform import train
from dferc_platform.checkpoint import OPTIMISER, WEIGHTS, checkpoints
from dferc_platform.config import make_config
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


@pytest.mark.parametrize("damage", [WEIGHTS, OPTIMISER, "state.json"])
def test_a_damaged_checkpoint_costs_an_epoch_not_the_run(undisturbed, config, corpus, tmp_path, damage):
    interrupted(config, corpus, tmp_path, 3)
    file = checkpoints(tmp_path / "last")[-1] / damage
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    assert_equal_runs(undisturbed, train_run(config, corpus, tmp_path))


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
