"""Sweeps: many runs of one model, chosen by a search space, on Ray Tune.

The ledger on disk is the truth: what was proposed and what became of it, in order. Replaying it gives a sampler all
that it knew, so a sweep whose driver was killed goes on as if nothing had happened. Tune's own state is not read.
"""

from dferc_platform.sweep.best import best
from dferc_platform.sweep.job import SweepJob, plan_job
from dferc_platform.sweep.plan import SweepPlan, plan_sweep
from dferc_platform.sweep.progress import ProgressCallback, SweepProgress
from dferc_platform.sweep.relay import Line
from dferc_platform.sweep.resources import Resources
from dferc_platform.sweep.run import run_lines, run_sweep

__all__ = [
    "Line",
    "ProgressCallback",
    "Resources",
    "SweepJob",
    "SweepPlan",
    "SweepProgress",
    "best",
    "plan_job",
    "plan_sweep",
    "run_lines",
    "run_sweep",
]
