"""MLflow as a projection of the run folders: one parent run a study, one child a run, written by the driver alone.

What lies where in MLflow, so that its own views work:

- ``validation/weighted_f1``, ``test/weighted_f1`` ... are the scores of the selected model (where a run did not finish,
  of its best epoch so far), one value a run. MLflow's tables, compare view and parallel coordinates show a metric's
  latest value, so the curve over epochs must not share a name with the score that is compared.
- ``while_training/validation/weighted_f1`` ... are the curves, a point an epoch.
- Parameters carry the short names of the settings (``beta``); tags say where the numbers come from.
"""

from dferc_platform.tracking.sync import sync
from dferc_platform.tracking.tracker import Tracker

__all__ = ["Tracker", "sync"]
