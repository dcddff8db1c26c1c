"""One config, several seeds: the study behind ``dferc train`` and behind every headline number."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dferc.corpus.summary import counts
from dferc.errors import UserError
from dferc.evaluation.statistics import Interval, mean_interval
from dferc_platform.cluster import connect, interruptible
from dferc_platform.config import RunConfig
from dferc_platform.fit import fit
from dferc_platform.identity import code_version, own_tags
from dferc_platform.results import RunRow, Status, Study, read_result, read_run, read_study, write_study, write_verdict
from dferc_platform.saved import open_corpus
from dferc_platform.storage import pull
from dferc_platform.studies.conclusion import conclude
from dferc_platform.sweep.lock import driving
from dferc_platform.tracking import Tracker

OnEpoch = Callable[[RunConfig, dict[str, float]], None]


@dataclass(frozen=True)
class SeedPlan:
    """The runs that a study of seeds is made of."""

    study: Study
    folder: Path
    configs: tuple[RunConfig, ...]
    """One a seed."""

    def key(self, config: RunConfig) -> str:
        """The key of one of the runs."""
        return config.key(self.study.fingerprint, code_version())

    def run_folder(self, config: RunConfig) -> Path:
        """Where one of the runs lies."""
        return self.folder / "runs" / self.key(config)

    @property
    def waiting(self) -> list[RunConfig]:
        """Configs that are not trained yet."""
        return [config for config in self.configs if not _finished(self.run_folder(config))]

    def rows(self) -> list[RunRow]:
        """The finished runs, in the order of the seeds."""
        return [read_run(self.run_folder(config)) for config in self.configs if _finished(self.run_folder(config))]


def plan_seeds(base: RunConfig, seeds: Sequence[int], results: Path, name: str | None = None) -> SeedPlan:
    """What there is to train; without a name the study is called after its content: the same thing, the same study.

    Raises:
        UserError: another study lies under that name.
    """
    corpus = open_corpus(base.corpus)
    content = base.model_dump(mode="json", exclude={"seed", "corpus"})
    key = hashlib.sha256(json.dumps(["train", content, corpus.fingerprint], sort_keys=True).encode()).hexdigest()[:16]
    name = name or f"train-{base.model_name}-{Path(base.corpus).stem}-{key[:8]}"
    study = Study(
        kind="train",
        name=name,
        key=key,
        model=base.model_name,
        corpus=base.corpus,
        fingerprint=corpus.fingerprint,
        space=None,
        config=base.model_dump(mode="json"),
        experiment="dferc",
        card=corpus.card.in_brief(),
        counts=counts(corpus),
    )
    folder = results / name
    pull(folder)
    if (folder / "study.json").is_file() and read_study(folder).key != key:
        raise UserError(f"{folder} holds another study (its config or corpus differ): choose another --name")
    return SeedPlan(study, folder, tuple(base.model_copy(update={"seed": seed}) for seed in seeds))


@dataclass(frozen=True)
class Hardware:
    """What each run is trained on."""

    workers: int = 1
    use_gpu: bool = False


def train_seeds(plan: SeedPlan, tracker: Tracker, hardware: Hardware, on_epoch: OnEpoch) -> list[RunRow]:
    """Train what is waiting, one run after the other, and record each in MLflow; the rows of all runs of the plan."""
    with driving(plan.folder):
        return _train_all(plan, tracker, hardware, on_epoch)


def _train_all(plan: SeedPlan, tracker: Tracker, hardware: Hardware, on_epoch: OnEpoch) -> list[RunRow]:
    write_study(plan.folder, plan.study)
    parent = tracker.study(plan.study, {"seeds": [config.seed for config in plan.configs]})
    tracker.reconcile(parent)
    try:
        with connect():
            for config in plan.waiting:
                _train(plan, config, tracker, parent, hardware, on_epoch)
    except BaseException as stop:
        tracker.finish_study(parent, _status(stop), plan.folder, {})
        raise
    means = {f"mean/{name}": interval.mean for name, interval in score_intervals(plan.rows()).items()}
    conclude(plan.folder, tracker, means)
    return plan.rows()


def score_intervals(rows: Sequence[RunRow]) -> dict[str, Interval]:
    """Mean and 95 % interval over seeds of each score that all runs have, in percent."""
    shared = set.intersection(*(set(row.metrics) for row in rows)) if rows else set()
    return {name: mean_interval([row.metrics[name] for row in rows]) for name in sorted(shared)}


def _train(
    plan: SeedPlan, config: RunConfig, tracker: Tracker, parent: str, hardware: Hardware, on_epoch: OnEpoch
) -> None:
    run = tracker.run(plan.key(config), f"seed {config.seed}", config.parameters(), own_tags(config), parent)

    def heard(metrics: dict[str, float]) -> None:
        tracker.epoch(run, metrics)
        on_epoch(config, metrics)

    folder = plan.run_folder(config)
    status: Status = "FINISHED"
    error: str | None = None
    try:
        with interruptible():
            fit(config, folder, hardware.workers, hardware.use_gpu, heard)
    except BaseException as stop:
        status, error = _status(stop), str(stop) or None
        raise
    finally:
        write_verdict(folder, status, varied={"seed": config.seed}, number=plan.configs.index(config), error=error)
        tracker.finish(run, status, folder)


def _status(stop: BaseException) -> Status:
    return "FAILED" if isinstance(stop, Exception) else "KILLED"


def _finished(folder: Path) -> bool:
    return read_result(folder).get("status") == "FINISHED"
