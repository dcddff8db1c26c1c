"""Which model is best on a corpus? All on one footing: as many trials each, chosen on validation, test scored once.

COMPARISON/study.json, and for each model two studies of their own in COMPARISON/MODEL: a search, and its best settings
trained again with every seed. So each resumes by itself, and a model that fails fails alone.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dferc.corpus.summary import counts
from dferc.models import model_named, models
from dferc_platform.cluster import connect
from dferc_platform.config import RunConfig, make_config, with_settings
from dferc_platform.report.comparison import CONFIRMED, FAILURE, SEARCH, stage_folder
from dferc_platform.results import Study, write_json, write_study
from dferc_platform.saved import open_corpus
from dferc_platform.spaces import SearchSpace, read_space
from dferc_platform.spaces.space import SchedulerConfig
from dferc_platform.studies.conclusion import conclude
from dferc_platform.studies.confirm import confirmation_space
from dferc_platform.sweep import Resources, SweepProgress, run_sweep
from dferc_platform.sweep.study import check_folder
from dferc_platform.tracking import Tracker

ONE_CPU = Resources()


@dataclass(frozen=True)
class ComparisonPlan:
    """What is compared, and at what cost."""

    models: tuple[str, ...]
    corpus: str
    trials: int
    """Of the search of each model."""
    seeds: tuple[int, ...]
    """With which the best settings of each are trained again."""
    epochs: int | None = None
    """At most, of every run; by default what each model's search space says."""
    small: bool = False
    """Tiny models, to try the study itself: their scores mean nothing."""

    def base(self, model: str) -> RunConfig:
        """What all runs of a model have in common."""
        config = make_config({"model_name": model, "corpus": self.corpus})
        if self.small:
            config = with_settings(config, model_named(model).small)
        return config if self.epochs is None else with_settings(config, {"epochs": self.epochs})

    def space(self, model: str) -> SearchSpace:
        """The shipped space of a model with the budget of this comparison; tiny models keep their tiny sizes."""
        shipped = read_space(model)
        kept = {**(model_named(model).small if self.small else {}), **({"epochs": self.epochs} if self.epochs else {})}
        varied = {name: parameter for name, parameter in shipped.parameters.items() if name not in kept}
        fixed = {name: value for name, value in shipped.settings.items() if name not in kept}
        budget = shipped.budget.model_copy(update={"trials": self.trials, "minutes": None})
        changed = {"parameters": varied, "settings": fixed, "budget": budget}
        if self.epochs is not None and self.epochs <= shipped.scheduler.grace_epochs:
            changed["scheduler"] = SchedulerConfig(name="none")  # nothing could stop early
        return shipped.model_copy(update=changed)


OnProgress = Callable[[str, str, SweepProgress], None]
"""Hears of the model, the stage and how far it is."""


def run_comparison(
    plan: ComparisonPlan,
    folder: Path,
    tracker: Tracker,
    *,
    concurrency: int | None = None,
    resources: Resources = ONE_CPU,
    progress: OnProgress | None = None,
) -> Path:
    """Search every model, train its best settings again, write the report; its page.

    Raises:
        UserError: a model is unknown, the folder holds another study, or no model has finished.
        KeyboardInterrupt: it was told to stop; the same call goes on from there.
    """
    for model in plan.models:
        plan.space(model)  # an unknown model, or a space that does not fit, is found before anything runs
    study = _describe(plan, folder, tracker.experiment)
    check_folder(folder, study, resume=True)
    write_study(folder, study)
    parent = tracker.study(study, {"models": list(plan.models), "trials": plan.trials, "seeds": list(plan.seeds)})
    try:
        with connect():
            for model in plan.models:
                _contend(plan, model, folder, tracker, concurrency, resources, progress)
        return conclude(folder, tracker, {})
    except BaseException as stop:
        status = "FAILED" if isinstance(stop, Exception) else "KILLED"
        tracker.finish_study(parent, status, folder, {})
        raise


def _contend(
    plan: ComparisonPlan,
    model: str,
    folder: Path,
    tracker: Tracker,
    concurrency: int | None,
    resources: Resources,
    progress: OnProgress | None,
) -> None:
    """One model's search and confirmation; what goes wrong is written down, and the others go on."""

    def run(stage: str, space: SearchSpace, kind: str) -> list[Any]:
        heard = None if progress is None else lambda at: progress(model, stage, at)
        return run_sweep(
            space,
            plan.base(model),
            stage_folder(folder, model, stage),
            tracker,
            resume=True,
            concurrency=concurrency,
            resources=resources,
            progress=heard,
            kind=kind,
        )

    try:
        space = plan.space(model)
        again = confirmation_space(space, run(SEARCH, space, "sweep"), plan.seeds)
        run(CONFIRMED, again, "train")
        (folder / model / FAILURE).unlink(missing_ok=True)
    except Exception as error:  # whatever it is, it concerns this model alone
        write_json(folder / model / FAILURE, {"error": str(error) or type(error).__name__})


def _describe(plan: ComparisonPlan, folder: Path, experiment: str) -> Study:
    corpus = open_corpus(plan.corpus)
    content = {
        "models": list(plan.models),
        "trials": plan.trials,
        "seeds": list(plan.seeds),
        "epochs": plan.epochs,
        "small": plan.small,
    }
    asked = {name: value for name, value in content.items() if name != "models"}  # models may be added later
    key = hashlib.sha256(json.dumps([folder.name, asked, corpus.fingerprint], sort_keys=True).encode()).hexdigest()[:16]
    return Study(
        kind="comparison",
        name=folder.name,
        key=key,
        model=", ".join(plan.models),
        corpus=plan.corpus,
        fingerprint=corpus.fingerprint,
        space=None,
        config={"comparison": content},
        experiment=experiment,
        card=corpus.card.in_brief(),
        counts=counts(corpus),
    )


def contestants(names: str | None) -> tuple[str, ...]:
    """The models of a comma-separated list, or all that there are.

    Raises:
        UserError: one is unknown.
    """
    chosen = sorted(models()) if names is None else [name.strip() for name in names.split(",")]
    return tuple(dict.fromkeys(model_named(name).name for name in chosen))
