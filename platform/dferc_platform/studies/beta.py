"""How much does the margin beta of CRM matter? A grid of values times seeds; validation chooses, test is read off."""

from dataclasses import dataclass
from pathlib import Path

from dferc.errors import UserError
from dferc_platform.config import RunConfig
from dferc_platform.report.runs import open_study
from dferc_platform.report.sensitivity import Sensitivity, sensitivity
from dferc_platform.report.verdict import verdict
from dferc_platform.spaces import SearchSpace
from dferc_platform.studies.conclusion import conclude
from dferc_platform.sweep import ProgressCallback, Resources, run_sweep
from dferc_platform.tracking import Tracker

ONE_CPU = Resources()


@dataclass(frozen=True)
class BetaSummary:
    """What the study found, and where it lies."""

    found: Sensitivity
    verdict: tuple[str, ...]
    """The answer in words, the most important sentence first."""
    report: Path
    """The HTML page."""
    figure: Path
    """The sensitivity curve as PNG."""


def run_beta_study(
    base: RunConfig,
    folder: Path,
    tracker: Tracker,
    *,
    space: SearchSpace,
    resume: bool = False,
    concurrency: int | None = None,
    resources: Resources = ONE_CPU,
    progress: ProgressCallback | None = None,
) -> BetaSummary:
    """Train every value with every seed, then write the report and send it to the study's run in MLflow.

    The arguments are those of ``run_sweep``; ``space`` is a grid over one numeric setting.

    Raises:
        UserError: the space is no such grid, what ``run_sweep`` refuses, or no run has finished.
    """
    check_grid(space)
    run_sweep(
        space, base, folder, tracker,
        resume=resume, concurrency=concurrency, resources=resources, progress=progress, kind="beta",
    )  # fmt: skip
    found = sensitivity(open_study(folder))
    page = conclude(folder, tracker, summary_metrics(found))
    return BetaSummary(found, verdict(found), page, page.parent / "figures" / "sensitivity.png")


def check_grid(space: SearchSpace) -> None:
    """Refuse a space that is no grid over one numeric setting.

    Raises:
        UserError: every problem is named.
    """
    problems = []
    if not space.is_grid:
        problems.append(
            f"sampler.name = {space.sampler.name!r}: a sensitivity study runs every value, so it must be 'grid'"
        )
    if len(space.parameters) != 1:
        problems.append(f"parameters are {', '.join(space.parameters)}: a sensitivity study varies one setting")
    for name, parameter in space.parameters.items():
        strange = [
            value for value in parameter.grid() or () if isinstance(value, bool) or not isinstance(value, int | float)
        ]
        if strange:
            problems.append(f"parameters.{name}: {strange[0]!r} is no number, so there is no curve to draw")
    if problems:
        raise UserError.collected("the search space", problems)


def summary_metrics(found: Sensitivity) -> dict[str, float]:
    """The answer in numbers, as the study's run in MLflow shows them: means over seeds are of the chosen value."""
    means = {name: found.best.interval(name).mean for name in (f"validation/{found.metric}", found.read_off)}
    return {
        f"best/{found.setting}": found.best.value,
        "flat_region/low": found.flat[0].value,
        "flat_region/high": found.flat[-1].value,
        **{f"mean/{name}": mean for name, mean in means.items()},
    }
