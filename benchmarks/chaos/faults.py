"""What breaks: each fault strikes a study that runs, and has mended itself or been mended when it returns."""

import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

from chaos.cluster import Cluster, Node
from chaos.disk import filled
from chaos.processes import send
from chaos.study import Asked, Server
from dferc_platform.checkpoint import checkpoints


@dataclass
class Scene:
    """Everything that can break."""

    cluster: Cluster
    server: Server
    asked: Asked
    draw: random.Random
    disk: Path | None = None
    """A small file system that holds the results; None where none could be mounted."""


def kill_worker(scene: Scene) -> bool:
    """SIGKILL to the process of a trial, as the kernel does when memory runs out."""
    process = _trial(scene)
    return process is not None and send(process, signal.SIGKILL)


def kill_node(scene: Scene) -> bool:
    """SIGKILL to all of a worker node, one on which a trial runs where there is one; it comes back a while later."""
    node = _node_of(scene) or scene.draw.choice(scene.cluster.nodes)
    node.kill()
    time.sleep(scene.draw.uniform(1, 6))
    node.start()
    node.wait()
    return True


def kill_driver(scene: Scene) -> bool:
    """SIGKILL to the command."""
    scene.asked.driver.kill()
    return True


def restart_head(scene: Scene) -> bool:
    """SIGKILL to the head and so to the cluster, and another in its place."""
    scene.cluster.kill()
    scene.cluster.start()
    return True


def kill_server(scene: Scene) -> bool:
    """MLflow's server is gone for a while."""
    scene.server.process.kill()
    time.sleep(scene.draw.uniform(0, 10))
    scene.server.start()
    return True


def stop_server(scene: Scene) -> bool:
    """MLflow's server takes connections and does not answer."""
    _freeze(scene.server.process.family(), scene.draw.uniform(2, 15))
    return True


def freeze_worker(scene: Scene) -> bool:
    """SIGSTOP to the process of a trial for some seconds."""
    process = _trial(scene)
    if process is None:
        return False
    _freeze([process], scene.draw.uniform(1, 8))
    return True


def damage_checkpoint(scene: Scene) -> bool:
    """The newest checkpoint of a trial is cut short, or a byte of it flips, and its process dies."""
    for key, process in scene.asked.training.items():
        if not send(process, signal.SIGSTOP):  # so that the newest stays the newest
            continue
        kept = checkpoints(scene.asked.folder / "runs" / key / "last")
        if kept:
            damage(scene.draw.choice(sorted(path for path in kept[-1].iterdir() if path.stat().st_size)), scene.draw)
        send(process, signal.SIGKILL)
        return bool(kept)
    return False


def fill_disk(scene: Scene) -> bool:
    """No space is left where results lie, for a while."""
    if scene.disk is None:
        return False
    with filled(scene.disk):
        time.sleep(scene.draw.uniform(2, 6))
    return True


FAULTS: dict[str, Callable[[Scene], bool]] = {
    "trial's process killed": kill_worker,
    "worker node lost": kill_node,
    "driver killed": kill_driver,
    "head restarted": restart_head,
    "MLflow's server away": kill_server,
    "MLflow's server silent": stop_server,
    "checkpoint damaged": damage_checkpoint,
    "trial frozen": freeze_worker,
    "disk full": fill_disk,
}
"""Each returns whether there was anything to break."""


def damage(path: Path, draw: random.Random) -> None:
    """Cut a file short, or flip a byte in the middle of it."""
    content = bytearray(path.read_bytes())
    if draw.random() < 0.5:
        path.write_bytes(content[: len(content) // 2])
        return
    content[draw.randrange(len(content))] ^= 0xFF
    path.write_bytes(content)


def _trial(scene: Scene) -> psutil.Process | None:
    running = sorted(scene.asked.training.items())
    return scene.draw.choice(running)[1] if running else None


def _node_of(scene: Scene) -> Node | None:
    running = {process.pid for process in scene.asked.training.values()}
    return next((node for node in scene.cluster.nodes if running & set(node.workers)), None)


def _freeze(processes: list[psutil.Process], seconds: float) -> None:
    try:
        for process in processes:
            send(process, signal.SIGSTOP)
        time.sleep(seconds)
    finally:
        for process in processes:
            send(process, signal.SIGCONT)
