"""The files of a run or study that MLflow keeps a copy of."""

import hashlib
from pathlib import Path
from typing import Any

from dferc_platform.results import RunRow, is_run, is_study, read_result, read_run
from dferc_platform.tracking.confusion import confusion_page
from dferc_platform.tracking.records import Ending, now

RUN_FILES = ("config.yaml", "result.json", "verdict.json", "history.jsonl", "predictions.parquet", "confusion.json")
STUDY_FILES = ("study.json", "outcome.json")
WRITTEN_LAST = ("result.json", "outcome.json", "verdict.json", "history.jsonl")  # the first that there is tells when


def send_run_files(client: Any, mlflow_id: str, folder: Path) -> None:
    """Results, predictions and confusion of a run; the weights of the selected epoch if it finished."""
    _send(client, mlflow_id, folder, RUN_FILES)
    labels = read_result(folder).get("labels")
    if labels and (folder / "confusion.json").is_file():
        client.log_text(mlflow_id, confusion_page(folder / "confusion.json", labels), "confusion.html")
    if labels and (folder / "best").is_dir():
        client.log_artifacts(mlflow_id, str(folder / "best"), "best")


def send_study_files(client: Any, mlflow_id: str, folder: Path) -> None:
    """What a study asked, how it ended, and its report."""
    _send(client, mlflow_id, folder, STUDY_FILES)
    if (folder / "report").is_dir():
        client.log_artifacts(mlflow_id, str(folder / "report"), "report")


def digest(ending: Ending) -> str:
    """Changes when what is to be sent changes."""
    content = hashlib.sha256(repr((ending.status, sorted(ending.metrics.items()))).encode())
    for path in _files(ending.folder):
        content.update(path.name.encode())
        content.update(path.read_bytes())
    return content.hexdigest()[:16]


def ended(folder: Path | None) -> int:
    """When the run or study in a folder ended, in milliseconds since 1970; now if it does not say."""
    last = [path for path in _files(folder) if path.name in WRITTEN_LAST]
    last.sort(key=lambda path: WRITTEN_LAST.index(path.name))
    return int(1000 * last[0].stat().st_mtime) if last else now()


def started(folder: Path | None) -> int:
    """When the run or study in a folder began, in milliseconds since 1970; now if it does not say."""
    if folder is not None and is_study(folder):
        return int(1000 * (folder / "study.json").stat().st_mtime)
    return began(read_run(folder)) if folder is not None and is_run(folder) else now()


def began(row: RunRow) -> int:
    """When a run began that trained without a break, in milliseconds since 1970."""
    return ended(row.folder) - int(1000 * (row.seconds or 0.0))


def _files(folder: Path | None) -> list[Path]:
    if folder is None:
        return []
    paths = [folder / name for name in dict.fromkeys(RUN_FILES + STUDY_FILES)]
    return [path for path in [*paths, *sorted((folder / "report").rglob("*"))] if path.is_file()]


def _send(client: Any, mlflow_id: str, folder: Path, names: tuple[str, ...]) -> None:
    for name in names:
        if (folder / name).is_file():
            client.log_artifact(mlflow_id, str(folder / name))
