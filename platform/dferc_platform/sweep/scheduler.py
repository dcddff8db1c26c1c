"""Early stopping: Ray's ASHA, given back what it knew when a sweep goes on."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ray.tune.schedulers import AsyncHyperBandScheduler, FIFOScheduler, TrialScheduler

from dferc_platform.results import read_history
from dferc_platform.spaces import SearchSpace
from dferc_platform.storage import located


def make_scheduler(space: SearchSpace, epochs: int, ended: Iterable[Path]) -> TrialScheduler:
    """The scheduler that the space asks for; it knows the trials that ``ended`` in these run folders."""
    if space.scheduler.name == "none":
        return FIFOScheduler()
    scheduler = ResumedAsha(
        time_attr="epoch",  # Tune's own count starts anew when a trial goes on
        metric=space.metric,
        mode="max",
        grace_period=space.scheduler.grace_epochs,
        reduction_factor=space.scheduler.reduction_factor,
        max_t=max(space.scheduler.grace_epochs, epochs - 1),  # a rung at the last epoch would stop trials that are done
        stop_last_trials=False,  # else a trial is stopped at max_t, before it has written its result
    )
    for folder in ended:
        scheduler.remember(folder)
    return scheduler


class ResumedAsha(AsyncHyperBandScheduler):  # type: ignore[misc]
    """ASHA whose rungs also hold what trials scored before the sweep went on."""

    def remember(self, folder: Path) -> None:
        """Enter a trial that ended under an earlier driver."""
        self._enter(_Ended(folder.name), read_history(folder))

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        """Enter a trial, with the epochs that it has behind it."""
        self._enter(trial, read_history(located(trial.config["results"], trial.config["folder"])))

    def _enter(self, trial: Any, history: Iterable[Mapping[str, Any]]) -> None:
        super().on_trial_add(None, trial)
        for line in history:
            super().on_trial_result(None, trial, dict(line))


@dataclass(frozen=True)
class _Ended:
    trial_id: str
