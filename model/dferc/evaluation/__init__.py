"""What predictions are worth: metrics, statistics over seeds and dialogues, and the method's failure signatures."""

from dferc.evaluation.diagnostics import Monitor, warnings
from dferc.evaluation.metrics import Scores, score
from dferc.evaluation.statistics import (
    FlatRegion,
    Interval,
    bootstrap_difference,
    flat_region,
    mean_interval,
    paired_difference,
)

__all__ = [
    "FlatRegion",
    "Interval",
    "Monitor",
    "Scores",
    "bootstrap_difference",
    "flat_region",
    "mean_interval",
    "paired_difference",
    "score",
    "warnings",
]
