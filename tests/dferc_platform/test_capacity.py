"""What a cluster has, whether it grows, and how many trials are given to it at a time."""

import json
from types import SimpleNamespace

import pytest

from dferc.errors import UserError
from dferc_platform import capacity
from dferc_platform.capacity import Growth
from dferc_platform.sweep import Resources
from dferc_platform.sweep.resources import Admission, room

GPU_NODE = {"CPU": 16.0, "GPU": 2.0, "memory": 64e9}


@pytest.mark.parametrize(
    ("wanted", "number"),
    [
        (Resources(), 16),
        (Resources(0.1), 160),
        (Resources(1, 1), 2),
        (Resources(1, 0.1428), 14),  # a seventh
        (Resources(1, 0, 9e9), 7),  # by CPU alone, 16 trials of 9 GB would be packed on it
        (Resources(32), 0),
    ],
)
def test_how_many_trials_a_node_holds(wanted, number):
    assert capacity.fit(GPU_NODE, wanted.as_ray()) == number


def test_resources_in_words():
    assert str(Resources(1, 0.25, 9e9)) == "1 CPU, 0.25 GPU and 9 GB memory"
    assert str(Resources(2)) == "2 CPU"
    assert capacity.amounts({"CPU": 0.0}) == "nothing"


def test_what_no_node_can_hold_is_refused_unless_nodes_are_started(monkeypatch):
    monkeypatch.setattr(capacity, "nodes", lambda: [{"CPU": 0.0}, {"CPU": 4.0, "memory": 8e9}])
    monkeypatch.setattr(capacity, "growth", lambda: None)
    with pytest.raises(UserError, match=r"1 CPU and 1 GPU fits on no node of the cluster; the largest has 4 CPU: ask"):
        room(Resources(1, 1))
    with pytest.raises(UserError, match="9 GB memory fits on no node of the cluster; the largest has 4 CPU and 8 GB"):
        room(Resources(1, 0, 9e9))
    monkeypatch.setenv(capacity.AUTOSCALES, "1")
    assert room(Resources(1, 1)) == 0
    monkeypatch.setattr(capacity, "growth", Growth)
    monkeypatch.setenv(capacity.AUTOSCALES, "0")
    with pytest.raises(UserError, match="fits on no node"):
        room(Resources(1, 1))
    monkeypatch.delenv(capacity.AUTOSCALES)
    assert room(Resources(1, 1)) == 0


@pytest.mark.parametrize(
    ("report", "growth"),
    [
        (
            {"active_nodes": {f"node_{'a' * 56}": 1}, "pending_nodes": [], "pending_launches": {}},
            None,
        ),  # Ray's own name
        ({}, None),
        (
            {
                "node_type_mapping": {"aa": "head"},
                "pending_nodes": [["10.0.0.7", "workers", "setting-up"]],
                "pending_launches": {"workers": 2},
                "failed_nodes": [["10.0.0.9", "spot"]],
            },
            Growth(("3 of workers",), ("1 of spot",)),
        ),
    ],
)
def test_an_autoscaler_is_known_by_the_types_of_its_nodes(report, growth, monkeypatch):
    said = json.dumps({"autoscaler_report": report}).encode()
    monkeypatch.setattr("ray.experimental.internal_kv._internal_kv_get", lambda key: said)
    assert capacity._growth_of_version_1() == growth


def node(kind):
    return SimpleNamespace(ray_node_type_name=kind)


@pytest.mark.parametrize(
    ("version", "kind", "growth"),
    [
        ("7", "head", Growth(("3 of workers",), ("1 of spot",))),
        ("0", "head", None),  # KubeRay names its nodes so without an autoscaler, too
        ("7", f"node_{'a' * 56}", None),
    ],
)
def test_the_second_autoscaler_is_known_by_its_version_and_its_nodes(version, kind, growth, monkeypatch):
    status = SimpleNamespace(
        stats=SimpleNamespace(autoscaler_version=version),
        active_nodes=[node(kind)],
        idle_nodes=[],
        pending_nodes=[node("workers")],
        pending_launches=[SimpleNamespace(ray_node_type_name="workers", count=2)],
        failed_launches=[SimpleNamespace(ray_node_type_name="spot", count=1)],
    )
    monkeypatch.setattr("ray.autoscaler.v2.sdk.get_cluster_status", lambda address: status)
    assert capacity._growth_of_version_2("10.0.0.1:6379") == growth


class Trials:
    """As many as are admitted."""

    def __init__(self, nodes, concurrency=None, grows=False):
        self.nodes, self.now = nodes, 0.0
        self.admission = Admission(concurrency, grows, lambda: self.nodes, lambda: self.now)
        self.given = []

    def fill(self, resources):
        self.now += Admission.FRESH
        while self.admission.admits(self.given):
            self.given.append(resources)
        return len(self.given)


def test_as_many_trials_as_fit_and_more_when_a_node_joins():
    trials = Trials([{"CPU": 3.0}])
    assert trials.fill(Resources()) == 3
    trials.nodes = [{"CPU": 3.0}, {"CPU": 8.0}]
    assert trials.fill(Resources()) == 11
    trials.nodes = []  # all are gone; one waits for their return
    trials.given.clear()
    assert trials.fill(Resources()) == 1


def test_trials_of_different_sizes_share_a_cluster():
    trials = Trials([GPU_NODE])
    trials.given = [Resources(1, 1)]
    assert trials.fill(Resources(1, 0.25)) == 1 + 4


def test_a_cluster_that_grows_is_asked_for_twice_what_it_has():
    trials = Trials([{"CPU": 0.0}], grows=True)
    assert trials.fill(Resources()) == Admission.AHEAD
    trials.nodes = [{"CPU": 4.0}]
    assert trials.fill(Resources()) == 8
    trials.nodes = [{"CPU": 4.0}, {"CPU": 16.0}]
    assert trials.fill(Resources()) == 40


def test_a_concurrency_that_was_asked_for_is_kept_whatever_the_cluster_has():
    for nodes in ([], [{"CPU": 64.0}]):
        assert Trials(nodes, concurrency=3, grows=True).fill(Resources()) == 3
