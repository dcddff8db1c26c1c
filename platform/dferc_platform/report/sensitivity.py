"""How much one numeric setting matters: means over seeds, the flat region around the best, distances to the default."""

import math
from dataclasses import dataclass
from functools import cached_property
from statistics import median
from typing import Any

import numpy as np

from dferc.errors import UserError
from dferc.evaluation.statistics import Interval, flat_region, mean_interval, paired_difference
from dferc_platform.report.runs import StudyRuns, default_of
from dferc_platform.results import RunRow


@dataclass(frozen=True)
class Level:
    """The finished runs that share one value of the setting, one a seed."""

    value: float
    rows: tuple[RunRow, ...]

    def scores(self, metric: str) -> dict[int, float]:
        """One score a seed, of the runs that have it."""
        return {int(row.varied.get("seed", 0)): row.metrics[metric] for row in self.rows if metric in row.metrics}

    def interval(self, metric: str) -> Interval:
        """Mean over seeds with its 95 % t interval."""
        return mean_interval(list(self.scores(metric).values()))

    def standard_error(self, metric: str) -> float:
        """Of the mean over seeds; NaN for one seed."""
        scores = list(self.scores(metric).values())
        return float(np.std(scores, ddof=1) / math.sqrt(len(scores))) if len(scores) > 1 else math.nan

    def difference(self, other: "Level", metric: str) -> Interval | None:
        """Mean of this minus ``other`` over the seeds that both have; None where they share none."""
        ours, theirs = self.scores(metric), other.scores(metric)
        seeds = sorted(ours.keys() & theirs.keys())
        return paired_difference([ours[s] for s in seeds], [theirs[s] for s in seeds]) if seeds else None


@dataclass(frozen=True)
class Sensitivity:
    """What a grid over one setting and several seeds says of that setting."""

    setting: str
    metric: str
    """What chooses, without its split: weighted_f1."""
    levels: tuple[Level, ...]
    """By rising value."""
    default: float | None
    """The published value, where the model's config has it as its default."""
    scores_test: bool

    @cached_property
    def best(self) -> Level:
        """The level with the best mean on validation; of equal ones that of the smallest value."""
        return max(self.levels, key=lambda level: level.interval(self._chooser).mean)

    @cached_property
    def worse(self) -> tuple[Level, ...]:
        """Levels worse than the best beyond seed noise: the paired 95 % interval on validation lies below 0."""
        gaps = [(level, level.difference(self.best, self._chooser)) for level in self.levels]
        return tuple(level for level, gap in gaps if gap is not None and gap.high < 0)

    @cached_property
    def flat(self) -> tuple[Level, ...]:
        """Levels around the best that cannot be told from it.

        Their validation mean lies within one standard error of the best one's and none is ``worse``: what a seed does
        to all values alike widens the standard error, but not the paired comparison.
        """
        chooser = self._chooser
        region = flat_region(
            [level.value for level in self.levels],
            [math.nan if level in self.worse else level.interval(chooser).mean for level in self.levels],
            [level.standard_error(chooser) for level in self.levels],
        )
        return tuple(level for level in self.levels if region.low <= level.value <= region.high)

    @cached_property
    def resolution(self) -> float:
        """Points below which a difference to the best stays hidden: median half width of the paired 95 % intervals."""
        gaps = [level.difference(self.best, self._chooser) for level in self.levels if level is not self.best]
        widths = [gap.half_width for gap in gaps if gap is not None and not math.isnan(gap.low)]
        return median(widths) if widths else math.nan

    @cached_property
    def reference(self) -> Level | None:
        """The level at the published value, where it was tried."""
        return next((level for level in self.levels if level.value == self.default), None)

    @property
    def seeds(self) -> tuple[int, int]:
        """Fewest and most seeds of a level."""
        counts = [len(level.rows) for level in self.levels]
        return min(counts), max(counts)

    @property
    def read_off(self) -> str:
        """The metric that the chosen level is judged by: on test where that was scored, otherwise on validation."""
        return f"{'test' if self.scores_test else 'validation'}/{self.metric}"

    @property
    def _chooser(self) -> str:
        return f"validation/{self.metric}"


def sensitivity(runs: StudyRuns) -> Sensitivity:
    """Group the finished runs of a study by the one setting, besides the seed, that it varies.

    Raises:
        UserError: the runs vary no setting, more than one, or one that is not numeric.
    """
    varied = sorted({name for row in runs.finished for name in row.varied} - {"seed"})
    if len(varied) != 1:
        found = ", ".join(varied) or "none"
        raise UserError(
            f"study {runs.study.name}: a sensitivity study varies one setting and the seed; this one varies {found}"
        )
    setting = varied[0]
    values: dict[str, Any] = {row.key: row.varied.get(setting) for row in runs.finished}
    strange = [value for value in values.values() if isinstance(value, bool) or not isinstance(value, (int, float))]
    if strange:
        raise UserError(
            f"study {runs.study.name}: {setting} = {strange[0]!r} is no number, so there is no curve to draw"
        )
    levels = [
        Level(float(value), tuple(row for row in runs.finished if values[row.key] == value))
        for value in sorted(set(values.values()))
    ]
    return Sensitivity(setting, runs.metric, tuple(levels), default_of(runs.study.model, setting), runs.scores_test)
