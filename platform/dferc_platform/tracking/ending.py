"""Sends how a run or study ended, with what its folder holds."""

from pathlib import Path

from dferc_platform.results import RunRow, is_run, read_result, read_run
from dferc_platform.tracking.artifacts import digest, ended, send_run_files, send_study_files
from dferc_platform.tracking.calls import PARENT, Calls, tagged
from dferc_platform.tracking.curves import send_missing_lines, send_scores
from dferc_platform.tracking.pages import MOST_COMPARED, comparison_page
from dferc_platform.tracking.records import Ending, Record, finite

CONTENT = "content"  # tag: digest of what was sent at the end, so that sending the same again costs nothing
NOTE = "mlflow.note.content"  # tag: the description that MLflow shows with a run
MLFLOW_STATUS = {"PRUNED": "FINISHED"}  # MLflow has no such status; a tag tells


def end(calls: Calls, record: Record, ending: Ending) -> None:
    """Send curves, scores and files, and last the status."""
    content = digest(ending)
    if record.known_tags.get(CONTENT) != content:
        tags = _send_folder(calls, record, ending.folder)
        send_scores(calls, record, finite(ending.metrics))
        _send_tags(calls, record, {**tags, "pruned": "true" if ending.status == "PRUNED" else "", CONTENT: content})
    if record.is_study:
        _link_comparison(calls, record)
    status = MLFLOW_STATUS.get(ending.status, ending.status)
    if record.status != status:
        calls.client.set_terminated(record.mlflow_id, status=status, end_time=ended(ending.folder))
        record.status = status


def _send_folder(calls: Calls, record: Record, folder: Path | None) -> dict[str, str]:
    """Send what a folder holds; the tags that it gives."""
    if folder is None or not folder.is_dir():
        return {}
    if record.is_study:
        send_study_files(calls.client, record.mlflow_id, folder)
        return {}
    if not is_run(folder):
        return {}
    row = read_run(folder)
    send_missing_lines(calls, record, row)
    send_scores(calls, record, _final_metrics(row))
    send_run_files(calls.client, record.mlflow_id, folder)
    return {"error": row.error or ""}


def _final_metrics(row: RunRow) -> dict[str, float]:
    """Scores of the selected epoch, and what the run cost."""
    result = read_result(row.folder)
    seconds = {f"seconds/{name}": value for name, value in result.get("seconds", {}).items()}
    memory = {"memory/peak_mb": result.get("memory", {}).get("peak_mb")}
    sizes = {"best_epoch": row.best_epoch, "parameters": result.get("parameters"), **memory}
    return finite({**row.metrics, **seconds, **sizes})


def _send_tags(calls: Calls, record: Record, tags: dict[str, str]) -> None:
    """Set tags that say something, and empty those that an earlier ending set."""
    new = {name: text for name, text in tags.items() if text != record.known_tags.get(name, "")}
    calls.log_tags(record.mlflow_id, new)
    record.known_tags |= new


def _link_comparison(calls: Calls, study: Record) -> None:
    """Describe a study in MLflow by a link to the page that compares its runs."""
    runs = [run.info.run_id for run in calls.find(tagged(PARENT, study.mlflow_id))]
    if runs:
        which = f"its {len(runs)} runs" if len(runs) <= MOST_COMPARED else f"its latest {MOST_COMPARED} runs"
        page = comparison_page(calls.experiment, runs[:MOST_COMPARED])
        _send_tags(calls, study, {NOTE: f"[Compare {which}]({page})"})
