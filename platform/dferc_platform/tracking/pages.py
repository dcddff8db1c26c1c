"""Places in MLflow's own interface."""

import json
from collections.abc import Sequence
from urllib.parse import quote

MOST_COMPARED = 100
"""Runs of one comparison: their ids fit into a tag and into the address of a browser."""


def comparison_page(experiment: str, runs: Sequence[str]) -> str:
    """The page that compares runs, from the ``#`` of its address on: beta against weighted F1 in parallel coordinates.

    Args:
        experiment: MLflow's id of the experiment.
        runs: MLflow's ids of the runs.
    """
    chosen = {"runs": list(runs), "experiments": [experiment]}
    query = "&".join(
        f"{name}={quote(json.dumps(ids, separators=(',', ':')), safe=',')}" for name, ids in chosen.items()
    )
    return f"#/compare-runs?{query}&workflowType=machine_learning"  # the interface opens as one for traces otherwise
