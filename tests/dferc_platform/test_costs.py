"""What runs would cost, measured on small ones; what a trial is given, by arithmetic over what was measured."""

import dataclasses
import json

import pytest
import torch

from dferc.corpus import Corpus
from dferc.errors import UserError
from dferc_platform import capacity
from dferc_platform.checkpoint import KEPT
from dferc_platform.config import make_config
from dferc_platform.costs import Cost, Sizes, heaviest, measure, probe, size, sizing
from dferc_platform.costs.sizing import CONTEXT_MB, MARGIN, finished, share
from dferc_platform.memory import ON_GPU, ON_NODE, out_of_memory
from dferc_platform.spaces import SearchSpace, read_space
from dferc_platform.sweep import Resources
from dferc_platform.train import train_run

SMALL = {"epochs": 2, "batch_dialogues": 4, "warmup_steps": 2}


@pytest.fixture
def config(tiny_corpus):
    return make_config({"corpus": str(tiny_corpus), "model": {"hidden": 8, "align": 8}, "training": SMALL})


def test_bytes_on_disk_are_those_that_a_run_leaves(config, tiny_corpus, tmp_path):
    corpus = Corpus.open(tiny_corpus)
    cost = measure(config, corpus)
    run = train_run(config, corpus, tmp_path / "run")
    left = {path: path.stat().st_size for path in run.folder.rglob("*.safetensors")}
    assert len(left) == 1 + 2 * KEPT
    predictions = (run.folder / "predictions.parquet").stat().st_size
    assert cost.kept - cost.predictions == pytest.approx(sum(left.values()), rel=0.2)  # headers of tiny files
    assert predictions <= cost.predictions <= 3 * predictions  # of 12 utterances, most are names of columns
    assert cost.parameters == json.loads((run.folder / "result.json").read_text())["parameters"]
    assert cost.process_mb >= cost.peak_mb > 100


def test_passes_over_test_are_part_of_the_time(config, tiny_corpus):
    cost = measure(config, Corpus.open(tiny_corpus), timed=0)
    sealed, optimistic, published = (
        cost.scored_as(config.model_copy(update=changes))
        for changes in ({"score_test": False}, {"optimism": True}, {"protocol": "published"})
    )
    assert [one.test_passes for one in (sealed, cost, optimistic, published)] == [0, 1, 3, 3]
    assert sealed.seconds == pytest.approx(2 * cost.seconds_per_epoch + cost.seconds_of_validation)
    assert optimistic.seconds - sealed.seconds == pytest.approx(3 * cost.seconds_of_test)


def test_the_heaviest_trial_has_the_largest_of_everything_and_fits_the_model():
    space = read_space("dialogue_gcn")
    settings = heaviest(space, make_config({"model_name": "dialogue_gcn"})).parameters()
    assert (settings["batch_dialogues"], settings["graph_hidden"], settings["window_past"]) == (32, 200, 20)
    excluding = SearchSpace.model_validate(
        {
            "model": "df_erc", "description": "too much", "budget": {"trials": 1}, "settings": {"hidden": 8},
            "parameters": {"dropout": {"kind": "float", "low": 0.0, "high": 7.0}},
        }
    )  # fmt: skip
    assert heaviest(excluding, make_config({})).parameters()["hidden"] == 8


@pytest.mark.parametrize(
    ("needed", "gpu", "together"),
    [(8_000, 81_000, 8), (9_000, 81_000, 7), (60_000, 81_000, 1), (500, 16_000, 27), (1_000, 1_150, 1)],
)
def test_as_many_trials_share_a_gpu_as_its_memory_holds(needed, gpu, together):
    part = share(needed, gpu)
    assert together * needed * MARGIN <= gpu < (together + 1) * needed * MARGIN
    assert capacity.fit({"GPU": 1.0}, {"GPU": part}) == together
    in_ten_thousandths = round(part * 10_000)  # as Ray counts
    assert in_ten_thousandths == pytest.approx(part * 10_000)
    assert together * in_ten_thousandths <= 10_000


def test_a_trial_that_no_gpu_holds_is_refused_with_what_to_do():
    with pytest.raises(UserError, match=r"needs about 89\.8 GB of GPU memory, and the GPU has 79\.1 GB: lower batch_d"):
        share(80_000, 81_000)


COST = Cost(2, 10, 0.1, 1.0, 1.0, 10**6, 4 * 10**6, 8 * 10**6, 10**5, "cuda", 9_000.0, 2_000.0, 81_000.0)
"""Of a trial on a GPU, made up: there is none here."""


@pytest.fixture
def measured(monkeypatch):
    """What a probe of each config is to say; which resources it was asked for with."""
    asked = []

    def answer(configs, resources, on_cluster, timed):
        asked.append((len(configs), resources, on_cluster))
        return [costs[config.model_name] for config in configs]

    costs = {"df_erc": COST, "bc_lstm": dataclasses.replace(COST, peak_mb=800.0, process_mb=1_500.0)}
    monkeypatch.setattr(sizing, "probe", answer)
    monkeypatch.setattr(capacity, "nodes", lambda: [{"CPU": 0.0}, {"CPU": 16.0, "GPU": 2.0}])
    return costs, asked


def test_every_model_gets_its_own_part_of_a_gpu(measured, tmp_path):
    configs = [make_config({"model_name": name}) for name in ("df_erc", "bc_lstm")]
    assert size(Sizes(None), configs, tmp_path) == [Resources(1, 0.1428), Resources(1, 0.0113)]
    _, asked = measured
    assert asked == [(2, Resources(1, 1), True)]  # a whole one each, so that nothing else is measured with it
    both = size(Sizes(None, None), configs[:1], tmp_path)
    assert both == [Resources(1, 0.1428, MARGIN * 2_000 * 2**20)]
    assert size(Sizes(0.5, None), configs[:1], tmp_path) == [dataclasses.replace(both[0], gpus=0.5)]


def test_what_is_said_is_not_measured(measured, tmp_path):
    assert size(Sizes(0.25, 3e9), [make_config({})], tmp_path) == [Resources(1, 0.25, 3e9)]
    assert measured[1] == []


def test_without_gpus_auto_means_cpus_unless_nodes_may_be_started(measured, monkeypatch, tmp_path):
    monkeypatch.setattr(capacity, "nodes", lambda: [{"CPU": 16.0}])
    monkeypatch.setenv(capacity.AUTOSCALES, "0")
    assert size(Sizes(None), [make_config({})], tmp_path) == [Resources(1)]
    monkeypatch.setenv(capacity.AUTOSCALES, "1")
    with pytest.raises(UserError, match="the cluster has no GPU at the moment but starts nodes"):
        size(Sizes(None), [make_config({})], tmp_path)


def test_a_model_that_cannot_be_measured_fails_later_by_itself(measured, tmp_path):
    costs, _ = measured
    costs["df_erc"] = UserError("the corpus has no audio")
    assert size(Sizes(None), [make_config({})], tmp_path) == [Resources(1, 1)]


def test_a_finished_run_that_needed_more_outranks_the_probe(measured, config, tiny_corpus, tmp_path):
    run = train_run(config, Corpus.open(tiny_corpus), tmp_path / "earlier" / "runs" / "key")
    path = run.folder / "result.json"
    result = json.loads(path.read_text())
    memory = {"peak_mb": 20_000.0, "device": "cuda", "process_mb": 3_000.0}
    path.write_text(json.dumps(result | {"memory": memory}))
    assert list(finished(tmp_path, config, "cuda")) == [(20_000.0, 3_000.0)]
    assert list(finished(tmp_path, config, "cpu")) == []
    (sized,) = size(Sizes(None, None), [config], tmp_path)
    assert sized == Resources(1, share(20_000 + CONTEXT_MB, 81_000), MARGIN * 3_000 * 2**20)
    smaller = config.model_copy(update={"training": config.training.model_copy(update={"batch_dialogues": 2})})
    assert list(finished(tmp_path, smaller, "cuda")) == []  # it says nothing of smaller batches


@pytest.mark.cluster
def test_on_a_cluster_runs_are_measured_in_processes_of_their_own(ray_cluster, config, tiny_corpus):
    bad = make_config({"corpus": str(tiny_corpus), "model": {"hidden": 8, "modalities": ["text", "smell"]}})
    cost, error = probe([config, bad], Resources(), on_cluster=True, timed=0)
    assert isinstance(cost, Cost)
    assert cost.weights == measure(config, Corpus.open(tiny_corpus), timed=0).weights
    assert cost.device == "cpu"
    assert isinstance(error, UserError)
    assert "smell" in str(error)


def test_what_says_that_memory_is_short_is_known():
    assert out_of_memory(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")) == ON_GPU
    assert out_of_memory(RuntimeError("CUDA error: out of memory")) == ON_GPU
    assert out_of_memory(MemoryError()) == ON_NODE
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**55, dtype=torch.uint8)
    assert out_of_memory(caught.value) == ON_NODE
    assert out_of_memory(RuntimeError("shapes do not fit")) is None
    assert out_of_memory(ValueError("out of memory")) is None
