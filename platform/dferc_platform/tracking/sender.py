"""Brings an MLflow run to what its record says. Every step may be repeated: what MLflow has is not sent again."""

from typing import Any

from dferc_platform.tracking.artifacts import started
from dferc_platform.tracking.calls import PARENT, Calls, tagged
from dferc_platform.tracking.curves import send_lines
from dferc_platform.tracking.datasets import corpus_dataset
from dferc_platform.tracking.ending import end
from dferc_platform.tracking.records import PROGRESS, Record


def prepare(calls: Calls, record: Record, live: set[str]) -> None:
    """Find or make the MLflow run; ``live`` are the MLflow ids of runs that still train.

    Raises:
        mlflow.MlflowException, OSError: the server did not take it; what it did take is noted in the record.
        LookupError: MLflow lacks the study of the run.
    """
    if record.must_open:
        _open(calls, record)
        record.must_open = False
    if record.must_reconcile:
        _reconcile(calls, record, live)
        record.must_reconcile = False


def deliver(calls: Calls, record: Record) -> None:
    """Send the epochs and the ending that wait.

    Raises:
        mlflow.MlflowException, OSError: the server did not take it; what it did take is noted in the record.
    """
    if record.lines:
        send_lines(calls, record)
    if record.ending is not None:
        end(calls, record, record.ending)
        record.ending = None


def _open(calls: Calls, record: Record) -> None:
    if record.parent and not record.parent.mlflow_id:
        raise LookupError(f"its study {record.parent.name} is not in MLflow")
    found = _find(calls, record)
    if found is None:
        _create(calls, record)
    else:
        _adopt(calls, record, found)
    calls.log_parameters(record.mlflow_id, record.parameters, found.data.params if found else {})
    if {"corpus", "fingerprint"} <= record.tags.keys():
        dataset = corpus_dataset(record.tags["corpus"], record.tags["fingerprint"], record.study)
        calls.log_dataset(record.mlflow_id, dataset)


def _find(calls: Calls, record: Record) -> Any | None:
    parent = record.parent.mlflow_id if record.parent else None
    inside = [tagged(PARENT, parent)] if parent else []
    found = calls.find(tagged(record.key_tag, record.key), *inside)
    return next((run for run in found if run.data.tags.get(PARENT) == parent), None)


def _create(calls: Calls, record: Record) -> None:
    tags = {**record.tags, record.key_tag: record.key}
    if record.parent:
        tags[PARENT] = record.parent.mlflow_id
    begun = started(record.ending.folder) if record.ending else record.opened
    record.mlflow_id = calls.create(record.name, begun, tags)
    record.status = "RUNNING"


def _adopt(calls: Calls, record: Record, found: Any) -> None:
    """Go on with a run that an earlier process made."""
    record.mlflow_id = found.info.run_id
    record.status = found.info.status
    record.known_metrics, record.known_tags = dict(found.data.metrics), dict(found.data.tags)
    record.has_already(point.step for point in calls.client.get_metric_history(record.mlflow_id, PROGRESS))
    if record.ending is None:
        calls.client.update_run(record.mlflow_id, status="RUNNING")
        record.status = "RUNNING"


def _reconcile(calls: Calls, study: Record, live: set[str]) -> None:
    for run in calls.find(tagged(PARENT, study.mlflow_id), "attributes.status = 'RUNNING'"):
        if run.info.run_id not in live:
            calls.client.set_terminated(run.info.run_id, status="KILLED")
