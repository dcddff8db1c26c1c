"""Sweeps on real nodes equal undisturbed ones, whatever dies; a driver that is killed: test_sweep_resume.py."""

import random
import signal
from pathlib import Path

import pytest
from chaos.cluster import Cluster
from chaos.disk import filled, small_disk
from chaos.faults import damage
from chaos.processes import free_ports, send, wait_for
from chaos.rounds import finish, send_missed
from chaos.seen import compare, read_trials
from chaos.study import Server

from dferc_platform.checkpoint import WEIGHTS, checkpoints
from dferc_platform.cli.errors import BAD_INPUT
from dferc_platform.lifeline import LOST

pytestmark = pytest.mark.cluster

SECONDS = 300
"""Longest wait on a busy machine."""
FLIPPED = 0
"""Seed with which a byte flips; others may cut the file short, which test_train does."""


def test_a_trial_whose_process_is_killed_goes_on_in_another(disturb) -> None:
    disturbed = disturb()
    (process,) = disturbed.asked.training.values()
    assert send(process, signal.SIGKILL)
    assert disturbed.ends() == 0
    disturbed.assert_nothing_lost()
    said = disturbed.asked.driver.said()
    assert "the process of trial 1 died; another goes on at its last epoch" in said
    assert "Traceback" not in said


def test_a_trial_whose_node_is_lost_goes_on_on_another(cluster: Cluster, disturb) -> None:
    disturbed = disturb()
    (process,) = disturbed.asked.training.values()
    lost = next(node for node in cluster.nodes if process.pid in node.workers)
    try:
        lost.kill()
        assert disturbed.ends() == 0
        disturbed.assert_nothing_lost()
    finally:
        cluster.start()


def test_a_head_that_is_lost_ends_the_command_with_a_sentence_and_another_goes_on(cluster: Cluster, disturb) -> None:
    disturbed = disturb()
    cluster.kill()
    assert disturbed.ends() == LOST
    said = disturbed.asked.driver.said()
    assert "is gone; what is finished is kept: when the cluster runs again, the same command goes on" in said
    assert "Traceback" not in said
    assert "StackTrace" not in said
    trials = read_trials(disturbed.asked.folder, disturbed.asked.uri).values()
    assert sorted((trial.status, *trial.tracked) for trial in trials) == [("FINISHED",) * 2, ("KILLED",) * 2]
    cluster.start()
    disturbed.resume()
    disturbed.assert_nothing_lost()


def test_a_damaged_checkpoint_costs_an_epoch_of_a_stopped_sweep(disturb) -> None:
    disturbed = disturb()
    ((key, process),) = disturbed.asked.training.items()
    disturbed.asked.driver.kill()
    send(process, signal.SIGKILL)
    wait_for(lambda: not process.is_running(), "its end")
    newest = checkpoints(disturbed.asked.folder / "runs" / key / "last")[-1]
    damage(newest / WEIGHTS, random.Random(FLIPPED))  # what its other files say is damaged in test_train
    disturbed.resume("--resume")
    disturbed.assert_nothing_lost(repeated=1)


def test_a_disk_that_is_full_ends_the_sweep_with_a_sentence_and_it_goes_on_when_there_is_space(
    disturb, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "disk", "64m") as disk:
        if disk is None:
            pytest.skip("only root may mount a small disk")
        disturbed = disturb(results=disk)
        with filled(disk):
            assert disturbed.ends() == BAD_INPUT
        said = disturbed.asked.driver.said()
        assert f"the disk is full at {disk}" in said
        assert "free space and give the same command again" in said
        assert "Traceback" not in said
        disturbed.resume()
        disturbed.assert_nothing_lost()


def test_a_server_that_is_away_for_a_while_has_everything_once(disturb, tmp_path: Path) -> None:
    server = Server(tmp_path / "mlflow")
    try:
        server.start()
        disturbed = disturb(uri=server.uri)
        server.process.kill()
        wait_for(lambda: len(disturbed.asked.epochs) == 3, "the third trial", SECONDS)
        server.start()
        assert disturbed.ends() == 0
        send_missed(disturbed.asked)
        disturbed.assert_nothing_lost()
    finally:
        server.process.kill()


def test_a_server_that_never_comes_costs_no_result_and_sync_sends_it_all(ask, question, undisturbed, tmp_path) -> None:
    nowhere = f"http://127.0.0.1:{free_ports(1)[0]}"
    asked = ask(question, uri=nowhere)
    finish(asked)
    assert f"MLflow at {nowhere} does not answer" in asked.driver.said()
    asked.driver.environment["MLFLOW_TRACKING_URI"] = asked.uri = f"sqlite:///{tmp_path}/mlflow.db"
    send_missed(asked)
    assert not compare(read_trials(asked.folder, asked.uri), undisturbed)
