"""What the platform costs a trial: a sweep of short ones, its wall time, how much is training, and what the rest is.

python benchmarks/trial_cost.py [--trials 32] [--epochs 3]
"""

import argparse
import json
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from common import show

from dferc.corpus.synthetic import SyntheticConfig, generate
from dferc_platform.cluster import connect
from dferc_platform.config import make_config
from dferc_platform.results import read_runs
from dferc_platform.spaces import SearchSpace
from dferc_platform.sweep import run_sweep
from dferc_platform.tracking import Tracker

SMALL = {"epochs": 3, "patience": 3, "batch_dialogues": 8, "warmup_steps": 5, "hidden": 64, "align": 64}


@dataclass(frozen=True)
class Moments:
    """Clock readings of one sweep, seconds since the epoch."""

    begun: float
    connected: float
    first_trial: float
    last_trial: float
    swept: float
    ended: float


@dataclass(frozen=True)
class Inside:
    """Seconds spent inside all trials together."""

    training: float
    evaluation: float
    whole: float
    """From the first file of a run to its last."""


def space(trials: int, epochs: int) -> SearchSpace:
    """A grid of as many betas, every trial trained alike."""
    return SearchSpace.model_validate(
        {
            "model": "df_erc",
            "description": "the cost of a trial",
            "sampler": {"name": "grid"},
            "scheduler": {"name": "none"},
            "settings": SMALL | {"epochs": epochs, "patience": epochs},
            "parameters": {"beta": {"kind": "categorical", "choices": [i / 100 for i in range(trials)]}},
        }
    )


def measure(folder: Path, trials: int, epochs: int, concurrency: int) -> tuple[Moments, Inside]:
    """Run the sweep in a fresh folder and read the clocks of its files."""
    corpus = generate(SyntheticConfig()).save(folder / "corpus.parquet")
    base = make_config({"corpus": str(corpus)})
    study = folder / "study"
    begun = time.time()
    with connect():
        connected = time.time()
        with Tracker("trial-cost", f"sqlite:///{folder / 'mlflow.db'}") as tracker:
            rows = run_sweep(space(trials, epochs), base, study, tracker, concurrency=concurrency)
            swept = time.time()
        ended = time.time()
    finished = [row.folder for row in rows if row.status == "FINISHED"]
    if len(finished) != trials or len(read_runs(study)) != trials:
        raise RuntimeError(f"{len(finished)} of {trials} trials finished: the numbers would mean nothing")
    starts = [(run / "config.yaml").stat().st_mtime for run in finished]
    stops = [(run / "result.json").stat().st_mtime for run in finished]
    spent = [json.loads((run / "result.json").read_text(encoding="utf-8"))["seconds"] for run in finished]
    inside = Inside(
        training=sum(seconds["training"] for seconds in spent),
        evaluation=sum(seconds["evaluation"] for seconds in spent),
        whole=sum(stops) - sum(starts),
    )
    return Moments(begun, connected, min(starts), max(stops), swept, ended), inside


def parts(moments: Moments, inside: Inside, slots: int) -> dict[str, float]:
    """Where the time of all slots went, in slot-seconds."""
    busy = slots * (moments.last_trial - moments.first_trial)
    return {
        "training": inside.training,
        "evaluation": inside.evaluation,
        "checkpoints, results and test scoring": inside.whole - inside.training - inside.evaluation,
        "between trials (Ray, sampler, building the model)": busy - inside.whole,
        "starting Ray": slots * (moments.connected - moments.begun),
        "until the first trial (workers start and import)": slots * (moments.first_trial - moments.connected),
        "after the last trial (Ray Tune)": slots * (moments.swept - moments.last_trial),
        "waiting for MLflow at the end": slots * (moments.ended - moments.swept),
    }


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--trials", type=int, default=32, help="trials (32)")
    options.add_argument("--epochs", type=int, default=3, help="epochs of a trial (3)")
    options.add_argument("--slots", type=int, default=os.cpu_count() or 1, help="trials at a time (CPUs)")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        moments, inside = measure(Path(folder), chosen.trials, chosen.epochs, chosen.slots)
    whole = chosen.slots * (moments.ended - moments.begun)
    rows = [
        [name, f"{seconds / chosen.trials:.2f}", f"{100 * seconds / whole:.0f} %"]
        for name, seconds in parts(moments, inside, chosen.slots).items()
    ]
    show(
        f"{chosen.trials} trials, {chosen.slots} at a time: {moments.ended - moments.begun:.1f} s",
        ["part", "seconds a trial", "share"],
        [*rows, ["all", f"{whole / chosen.trials:.2f}", "100 %"]],
        f"Seconds of one of {chosen.slots} slots. What is started once is shared among the trials.",
    )


if __name__ == "__main__":
    main()
