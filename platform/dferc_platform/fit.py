"""One run on many workers: Ray Train's TorchTrainer around the same training loop."""

import json
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dferc.errors import UserError
from dferc_platform import capacity
from dferc_platform.cluster import connect
from dferc_platform.config import RunConfig, make_config
from dferc_platform.stall import stall_minutes, watched
from dferc_platform.storage import Claim, located, newest_text, portable, pull, require_visible
from dferc_platform.train import RunResult, finished_run
from dferc_platform.waiting import explained

WORKER_FAILURES = 3
"""Times that lost workers are replaced before the run fails; each time it goes on at the last epoch."""


ELSEWHERE = 3.0
"""Seconds between looks at a history that another machine writes into an object store."""


def fit(
    config: RunConfig,
    folder: Path,
    workers: int = 1,
    use_gpu: bool = False,
    on_epoch: Callable[[dict[str, float]], None] | None = None,
) -> RunResult:
    """Train one run by Ray Train; the folder is a working copy of a URI, or one that the first worker sees, too.

    Raises:
        UserError: the cluster can never hold that many workers, or the run cannot start.
    """
    finished = finished_run(folder)
    if finished is not None:
        return finished
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    results, path = portable(folder)
    with connect(), explained("worker group"), _listening(folder / "history.jsonl", on_epoch):
        from ray.train import FailureConfig, ScalingConfig
        from ray.train import RunConfig as TrainRunConfig
        from ray.train.torch import TorchTrainer

        cpus = _cpus_per_worker(workers, use_gpu)
        settings = {
            "config": config.model_dump(mode="json"),
            "results": results,
            "folder": path,
            "cpus": cpus,
            "gpu": use_gpu,
            "stall_minutes": stall_minutes(),
        }
        TorchTrainer(
            work,
            train_loop_config=settings,
            scaling_config=ScalingConfig(
                num_workers=workers, use_gpu=use_gpu, resources_per_worker={"CPU": cpus, "GPU": int(use_gpu)}
            ),
            run_config=TrainRunConfig(
                name=f"{folder.name}-{uuid.uuid4().hex[:8]}",  # a known name would silently resume Ray's own state
                storage_path=str(folder / "ray"),
                failure_config=FailureConfig(max_failures=WORKER_FAILURES),
            ),
        ).fit()
    pull(folder)
    result = finished_run(folder)
    if result is None:
        raise UserError(
            f"training ended without a result in {folder}: {folder / 'ray'} may say why; workers on other machines "
            "need a folder that all share, or a URI such as s3://BUCKET/PREFIX, for --results"
        )
    return result


def work(settings: dict[str, Any]) -> None:
    """What each worker does."""
    import torch
    import torch.distributed as dist

    from dferc.layers.reduction import ALONE, Together
    from dferc_platform.saved import open_corpus
    from dferc_platform.sharing import from_first
    from dferc_platform.train import train_run

    torch.set_num_threads(max(1, int(settings["cpus"])))  # Ray leaves it at one
    config = make_config(settings["config"])
    across = Together() if dist.is_initialized() and dist.get_world_size() > 1 else ALONE
    device = "cuda" if settings["gpu"] else "cpu"
    folder = located(settings["results"], settings["folder"])
    claim = Claim(folder)
    if across.rank == 0:  # the others only compute: they may have no such folder
        if not settings["results"]:
            require_visible(folder, folder.is_dir)
        claim.take_over()
    reporter = RayReporter(claim if across.rank == 0 else None)
    if not from_first(b"finished" if finished_run(folder) else b"", across, torch.device(device)):
        with watched(reporter, folder / f"stall-{across.rank}.txt", settings["stall_minutes"]) as watched_reporter:
            train_run(config, open_corpus(config.corpus), folder, watched_reporter, across, device)
    if across.rank == 0:
        claim.push()


class RayReporter:
    """Tells Ray Train that an epoch is done, once it is stored; all workers meet here."""

    def __init__(self, claim: Claim | None) -> None:
        self._claim = claim

    def report(self, metrics: dict[str, float], checkpoint: Path | None) -> None:
        """Checkpoints lie in the run folder already, so Ray gets numbers only."""
        import ray.train

        if self._claim is not None:
            self._claim.epoch_is_done()
        ray.train.report(metrics)


def _cpus_per_worker(workers: int, use_gpu: bool) -> int:
    """The CPUs that each worker can have when they are spread evenly; a head without CPUs has no part in it."""
    able = [node for node in capacity.nodes() if node.get("CPU", 0) >= 1 and node.get("GPU", 0) >= int(use_gpu)]
    if not capacity.grows():
        _require_room(workers, use_gpu)
    if not able:
        return 1
    on_one_node = -(-workers // len(able))
    return max(1, int(min(node["CPU"] for node in able) // on_one_node))


def _require_room(workers: int, use_gpu: bool) -> None:
    import ray

    total = ray.cluster_resources()
    if workers > total.get("CPU", 0) or (use_gpu and workers > total.get("GPU", 0)):
        raise UserError(
            f"{workers} workers do not fit: the cluster has {total.get('CPU', 0):g} CPUs and "
            f"{total.get('GPU', 0):g} GPUs, "
            f"and each worker takes one {'GPU and one CPU' if use_gpu else 'CPU'}"
        )


@contextmanager
def _listening(history: Path, on_epoch: Callable[[dict[str, float]], None] | None) -> Iterator[None]:
    """Call ``on_epoch`` for each line that the workers add to the history, while the block runs."""
    if on_epoch is None:
        yield
        return
    ended = threading.Event()

    def listen() -> None:
        here, heard = not portable(history)[0], 0
        while True:
            last_look = ended.wait(0.2 if here else ELSEWHERE)
            lines = newest_text(history).splitlines()
            for line in lines[heard:]:
                on_epoch(json.loads(line))
            heard = max(heard, len(lines))
            if last_look:
                return

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    try:
        yield
    finally:
        ended.set()
        listener.join()
