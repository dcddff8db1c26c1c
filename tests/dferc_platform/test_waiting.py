"""Why work waits, said once, again when the reason changes, and when it is over."""

import subprocess
import sys
import threading
import time

import pytest

from dferc_platform import waiting
from dferc_platform.capacity import Growth, Holder
from dferc_platform.config import make_config
from dferc_platform.spaces import SearchSpace
from dferc_platform.sweep import run_sweep
from dferc_platform.tracking import Tracker
from dferc_platform.waiting import Cluster, Explainer

NODE = {"CPU": 8.0, "GPU": 2.0}


class Watched:
    """An explainer over a cluster that the test makes up."""

    def __init__(self, **cluster):
        self.groups, self.now, self.said = {}, 0.0, []
        self.cluster = {"nodes": [NODE], "free": {"CPU": 6.0}, "holders": [], "growth": None, "grows": False} | cluster
        self.explainer = Explainer(
            "trial", self.said.append, lambda: self.groups, lambda: Cluster(**self.cluster), lambda: self.now
        )

    def group(self, key, state, **asked):
        self.groups[key] = {"state": state, "bundles": {0: asked}}

    def check(self, seconds=waiting.PATIENCE):
        self.now += seconds
        self.explainer.check()
        return self.said


def test_nothing_is_said_of_what_waits_for_a_moment():
    watched = Watched()
    for number in range(5):  # each is placed before anybody would be told, and the next one waits
        watched.groups.clear()
        watched.group(str(number), "PENDING", CPU=1.0)
        assert watched.check(0.9 * waiting.PATIENCE) == []


def test_a_wait_is_explained_with_what_is_asked_for_what_is_free_and_who_holds_the_rest():
    holders = [Holder("job raysubmit_1 (dferc compare)", {"CPU": 2.0, "GPU": 2.0})]
    watched = Watched(holders=holders)
    watched.group("a", "CREATED", CPU=1.0, GPU=1.0)
    watched.group("b", "PENDING", CPU=1.0, GPU=1.0)
    watched.group("c", "PENDING", CPU=1.0, GPU=1.0)
    watched.group("d", "REMOVED", CPU=1.0, GPU=1.0)
    assert watched.check(0) == []
    assert watched.check() == [
        "2 trials wait for 1 CPU and 1 GPU each, 1 placed: the cluster has 8 CPU and 2 GPU on 1 node, free: 6 CPU; "
        "job raysubmit_1 (dferc compare) holds 2 CPU and 2 GPU; "
        "no node is started by itself here: it goes on when something ends or a node joins"
    ]


def test_it_is_said_again_only_when_the_reason_changes_and_once_when_it_is_over():
    watched = Watched(holders=[Holder("job 1", {"CPU": 7.0})])
    for key in "abc":
        watched.group(key, "PENDING", CPU=2.0)
    watched.check(0)
    assert len(watched.check()) == 1
    watched.group("a", "CREATED", CPU=2.0)  # fewer wait, for the same reason
    watched.cluster["free"] = {"CPU": 5.0}
    assert len(watched.check()) == 1
    watched.cluster["holders"] = [Holder("job 2", {"CPU": 7.0})]
    assert "job 2 holds 7 CPU" in watched.check()[1]
    watched.groups.clear()
    assert watched.check()[2:] == ["no trial waits for resources any more"]
    assert len(watched.check()) == 3


def test_on_a_cluster_that_grows_it_is_said_which_nodes_come_and_which_cannot():
    watched = Watched(nodes=[{"CPU": 0.0}], free={}, grows=True, growth=Growth())
    watched.group("a", "PENDING", CPU=1.0, GPU=1.0)
    watched.check(0)
    assert "no node that is here has so much; no node is being started yet" in watched.check()[0]
    watched.cluster["growth"] = Growth(("1 of gpu-workers",), ("2 of spot-workers",))
    said = watched.check()[1]
    assert "being started: 1 of gpu-workers; could not be started: 2 of spot-workers" in said


HOLDER = """
import sys, ray
ray.init(address=sys.argv[1], logging_level="error", log_to_driver=False)
group = ray.util.placement_group([{"CPU": 2}])
ray.get(group.ready())
print("held", flush=True)
sys.stdin.read()
"""


@pytest.mark.cluster
def test_a_sweep_says_who_holds_the_cluster_and_goes_on_when_it_is_released(
    ray_cluster, tiny_corpus, tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr(waiting, "PATIENCE", 0.5)
    monkeypatch.setattr(waiting, "PAUSE", 0.2)
    space = SearchSpace.model_validate(
        {
            "model": "df_erc", "description": "a test", "sampler": {"name": "grid"},
            "settings": {"epochs": 1, "batch_dialogues": 4, "hidden": 8, "align": 8},
            "parameters": {"beta": {"kind": "categorical", "choices": [0.1]}},
        }
    )  # fmt: skip
    words = [sys.executable, "-c", HOLDER, ray_cluster]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "held\n"
        release = threading.Thread(target=release_when_told, args=(other, caplog))
        release.start()
        with Tracker("test") as tracker:
            (row,) = run_sweep(space, make_config({"corpus": str(tiny_corpus)}), tmp_path / "s", tracker)
        release.join()
    assert row.status == "FINISHED"
    first, *_, last = [record.getMessage() for record in caplog.records if record.name == waiting.__name__]
    assert "1 trial waits for 1 CPU, none placed: the cluster has 2 CPU on 1 node, free: nothing; job " in first
    assert "holds 2 CPU" in first
    assert last == "no trial waits for resources any more"


def release_when_told(holder, caplog):
    """Let go when the sweep has said why it waits; when it never does, so that the test fails and does not hang."""
    until = time.monotonic() + 300
    while time.monotonic() < until and not any("waits for 1 CPU" in said for said in caplog.messages):
        time.sleep(0.05)
    holder.stdin.close()
