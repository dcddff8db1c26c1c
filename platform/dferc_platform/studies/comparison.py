"""Which model is best on a corpus? All on one footing: as many trials each, chosen on validation, test scored once.

COMPARISON/study.json, and for each model two studies of their own in COMPARISON/MODEL: a search, and its best settings
trained again with every seed. So each resumes by itself, and a model that fails fails alone.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from dferc.corpus.summary import counts
from dferc_platform.report.comparison import CONFIRMED, FAILURE, SEARCH, stage_folder
from dferc_platform.results import Study, write_json, write_study
from dferc_platform.saved import open_corpus
from dferc_platform.spaces import SearchSpace
from dferc_platform.storage import publish, withdraw
from dferc_platform.studies.comparison_plan import ComparisonPlan
from dferc_platform.studies.conclusion import conclude
from dferc_platform.studies.confirm import confirmation_space, unsearched_space
from dferc_platform.sweep import Line, Resources, SweepJob, SweepProgress, plan_job, run_lines
from dferc_platform.sweep.lock import driving
from dferc_platform.sweep.study import check_folder
from dferc_platform.tracking import Tracker

NOTHING_SAID: Mapping[str, Resources] = {}
ONE_CPU = Resources()


OnProgress = Callable[[str, str, SweepProgress], None]
"""Hears of the model, the stage and how far it is."""


def run_comparison(
    plan: ComparisonPlan,
    folder: Path,
    tracker: Tracker,
    *,
    concurrency: int | None = None,
    resources: Mapping[str, Resources] = NOTHING_SAID,
    progress: OnProgress | None = None,
) -> Path:
    """Search every model, train its best settings again, write the report; its page.

    All models share the same workers: where one has no trial to start, the next one has its turn. ``resources`` says
    what a trial of each model takes; one CPU where it says nothing.

    Raises:
        UserError: a model or a setting does not fit, the folder holds another study, or no model has finished.
        KeyboardInterrupt: it was told to stop; the same call goes on from there.
    """
    plan.check()
    with driving(folder.resolve()):
        study = _describe(plan, folder, tracker.experiment)
        check_folder(folder, study, resume=True)
        write_study(folder, study)
        parameters = {"models": list(plan.models), "trials": plan.trials, "seeds": list(plan.seeds), **plan.settings}
        parent = tracker.study(study, parameters)
        try:
            stages = _Stages(plan, folder, tracker.experiment, resources, progress)
            asked = [resources.get(model, ONE_CPU) for model in plan.models]
            run_lines(map(stages.of, plan.models), folder, tracker, concurrency=concurrency, asked=asked)
            return conclude(folder, tracker, {})
        except BaseException as stop:
            status = "FAILED" if isinstance(stop, Exception) else "KILLED"
            tracker.finish_study(parent, status, folder, {})
            raise


@dataclass(frozen=True)
class _Stages:
    """The sweeps that each model goes through."""

    plan: ComparisonPlan
    folder: Path
    experiment: str
    resources: Mapping[str, Resources]
    progress: OnProgress | None

    def of(self, model: str) -> Line:
        """One model's search and confirmation; what goes wrong is written down, and the others go on."""
        plan, failure = self.plan, self.folder / model / FAILURE
        try:
            space = plan.space(model)
            again = unsearched_space(space, plan.seeds, optimism=True)
            if plan.searches(model):
                rows = yield self._stage(model, SEARCH, space, "sweep")
                again = confirmation_space(space, rows, plan.seeds, optimism=True)
            yield self._stage(model, CONFIRMED, again, "train")
            withdraw(failure)
        except Exception as error:  # whatever it is, it concerns this model alone
            write_json(failure, {"error": str(error) or type(error).__name__})
            publish(failure)

    def _stage(self, model: str, stage: str, space: SearchSpace, kind: str) -> SweepJob:
        def heard(at: SweepProgress) -> None:
            if self.progress is not None:
                self.progress(model, stage, at)

        return plan_job(
            space,
            self.plan.base(model),
            stage_folder(self.folder, model, stage),
            self.experiment,
            resume=True,
            resources=self.resources.get(model, ONE_CPU),
            progress=heard,
            kind=kind,
        )


def _describe(plan: ComparisonPlan, folder: Path, experiment: str) -> Study:
    corpus = open_corpus(plan.corpus)
    content = {
        "models": list(plan.models),
        "trials": plan.trials,
        "seeds": list(plan.seeds),
        "epochs": plan.epochs,
        "small": plan.small,
        "settings": dict(plan.settings),
        "recipe": plan.recipe,
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
