"""What choosing on test would have flattered: test scored after every epoch, under a seal until the choice is made.

RUN/sealed/epoch-0003.json holds the test scores of an epoch. Of each epoch there is one file, which does not depend on
what lay there before: an epoch that is trained again after a crash writes the same.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from dferc_platform.results import write_json

SEALED = "sealed"


def seal(run_folder: Path, epoch: int, scores: Mapping[str, float]) -> None:
    """Put the test scores of an epoch away."""
    write_json(_path(run_folder, epoch), {"epoch": epoch, **scores})


def unseal(run_folder: Path, epochs: int) -> list[dict[str, float]]:
    """The test scores of each epoch that could be scored; for a run that has made its choice."""
    paths = [_path(run_folder, epoch) for epoch in range(1, epochs + 1)]
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths if path.is_file()]


def optimism(
    sealed: list[dict[str, float]], strict: Mapping[str, float], chosen: int, select_on: str
) -> dict[str, float]:
    """The metrics of the paper's habit: ``published/test/...`` of its epoch, and how far it is above the strict score.

    Args:
        sealed: test scores of each epoch.
        strict: metrics of the epoch that validation chose; its test scores stand for that epoch, so no gap is negative.
        chosen: that epoch.
        select_on: the score that chooses, ``weighted_f1`` by default; the gap is one of it, in percentage points.
    """
    by_epoch = {int(line["epoch"]): line for line in sealed} | {chosen: dict(strict)}
    name = f"test/{select_on}"
    best = max(sorted(by_epoch), key=lambda epoch: by_epoch[epoch][name])
    scores = {f"published/{key}": value for key, value in by_epoch[best].items() if key.startswith("test/")}
    return scores | {"published/epoch": best, "optimism_gap": by_epoch[best][name] - strict[name]}


def _path(run_folder: Path, epoch: int) -> Path:
    return run_folder / SEALED / f"epoch-{epoch:04d}.json"
