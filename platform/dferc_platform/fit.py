"""One run on many workers: Ray Train's TorchTrainer around the same training loop."""

import json
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dferc.errors import UserError
from dferc_platform.cluster import connect
from dferc_platform.config import RunConfig, make_config
from dferc_platform.stall import stall_minutes, watched
from dferc_platform.train import RunResult, finished_run

WORKER_FAILURES = 3
"""Times that lost workers are replaced before the run fails; each time it goes on at the last epoch."""


def fit(
    config: RunConfig,
    folder: Path,
    workers: int = 1,
    use_gpu: bool = False,
    on_epoch: Callable[[dict[str, float]], None] | None = None,
) -> RunResult:
    """Train one run by Ray Train; the folder must be visible to every worker.

    Raises:
        UserError: the cluster can never hold that many workers, or the run cannot start.
    """
    finished = finished_run(folder)
    if finished is not None:
        return finished
    folder = folder.resolve()
    with connect(), _listening(folder / "history.jsonl", on_epoch):
        from ray.train import FailureConfig, ScalingConfig
        from ray.train import RunConfig as TrainRunConfig
        from ray.train.torch import TorchTrainer

        cpus = _cpus_per_worker(workers, use_gpu)
        settings = {
            "config": config.model_dump(mode="json"),
            "folder": str(folder),
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
    result = finished_run(folder)
    if result is None:
        raise UserError(f"training ended without a result: look into {folder / 'ray'}")
    return result


def work(settings: dict[str, Any]) -> None:
    """What each worker does."""
    import torch
    import torch.distributed as dist

    from dferc.layers.reduction import ALONE, Together
    from dferc_platform.saved import open_corpus
    from dferc_platform.train import train_run

    torch.set_num_threads(max(1, int(settings["cpus"])))  # Ray leaves it at one
    config = make_config(settings["config"])
    across = Together() if dist.is_initialized() and dist.get_world_size() > 1 else ALONE
    device = "cuda" if settings["gpu"] else "cpu"
    folder = Path(settings["folder"])
    with watched(RayReporter(), folder / f"stall-{across.rank}.txt", settings["stall_minutes"]) as reporter:
        train_run(config, open_corpus(config.corpus), folder, reporter, across, device)


class RayReporter:
    """Tells Ray Train that an epoch is done; all workers meet here."""

    def report(self, metrics: dict[str, float], checkpoint: Path | None) -> None:
        """Checkpoints lie in the run folder already, so Ray gets numbers only."""
        import ray.train

        ray.train.report(metrics)


def _cpus_per_worker(workers: int, use_gpu: bool) -> int:
    import ray

    total = ray.cluster_resources()
    if workers > total.get("CPU", 0) or (use_gpu and workers > total.get("GPU", 0)):
        raise UserError(
            f"{workers} workers do not fit: the cluster has {total.get('CPU', 0):g} CPUs and "
            f"{total.get('GPU', 0):g} GPUs, "
            f"and each worker takes one {'GPU and one CPU' if use_gpu else 'CPU'}"
        )
    on_one_node = -(-workers // sum(node["Alive"] for node in ray.nodes()))
    smallest = min(node["Resources"].get("CPU", 0) for node in ray.nodes() if node["Alive"])
    return max(1, int(smallest // on_one_node))


@contextmanager
def _listening(history: Path, on_epoch: Callable[[dict[str, float]], None] | None) -> Iterator[None]:
    """Call ``on_epoch`` for each line that the workers add to the history, while the block runs."""
    if on_epoch is None:
        yield
        return
    ended = threading.Event()

    def listen() -> None:
        heard = 0
        while True:
            last_look = ended.wait(0.2)
            lines = history.read_text(encoding="utf-8").splitlines() if history.is_file() else []
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
