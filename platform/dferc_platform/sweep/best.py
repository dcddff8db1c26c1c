"""Which run of a sweep won."""

import math
from collections.abc import Sequence

from dferc.errors import UserError
from dferc_platform.results import RunRow
from dferc_platform.spaces import SearchSpace


def best(rows: Sequence[RunRow], space: SearchSpace) -> RunRow:
    """The best finished run; with several seeds, the best run of the point whose mean over seeds is best.

    Raises:
        UserError: no run has finished.
    """

    def score(row: RunRow) -> float:
        return row.metrics[space.metric]

    points: dict[str, list[RunRow]] = {}
    for row in rows:
        if row.status == "FINISHED" and math.isfinite(row.metrics.get(space.metric, math.nan)):
            point = {name: value for name, value in row.varied.items() if name != "seed"}
            points.setdefault(repr(sorted(point.items())), []).append(row)
    if not points:
        raise UserError("no run of the sweep has finished")
    winner = max(points.values(), key=lambda runs: sum(map(score, runs)) / len(runs))
    return max(winner, key=score)
