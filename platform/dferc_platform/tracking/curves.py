"""Sends the epochs of a run: the curves, and the scores so far."""

from dferc_platform.results import RunRow, read_history
from dferc_platform.tracking.artifacts import began
from dferc_platform.tracking.calls import Calls
from dferc_platform.tracking.records import Point, Record, now, read_line

LINES_A_CALL = 20  # whole epochs, so that the steps of PROGRESS tell what is there


def send_lines(calls: Calls, record: Record) -> None:
    """Send the epochs that wait, after the scores so far: MLflow's compare view opens with a run's first metric."""
    send_scores(calls, record, _better(record))
    waiting = sorted(record.lines.values(), key=lambda line: line.step)
    for start in range(0, len(waiting), LINES_A_CALL):
        some = waiting[start : start + LINES_A_CALL]
        calls.log_metrics(record.mlflow_id, [point for line in some for point in line.curves()])
        record.has_already(line.step for line in some)


def send_missing_lines(calls: Calls, record: Record, row: RunRow) -> None:
    """Send what was lost with a killed driver, or dropped while the server was away, from the run's folder."""
    at = began(row)
    for metrics in read_history(row.folder):
        at += int(1000 * metrics.get("epoch_seconds", 0.0))
        line = read_line(metrics, at)
        if line and line.step not in record.sent:
            record.lines[line.step] = line
    send_lines(calls, record)


def send_scores(calls: Calls, record: Record, scores: dict[str, float]) -> None:
    """One value a metric, at step 0: of two values there, the newer is MLflow's latest."""
    at = now()
    new = {name: value for name, value in scores.items() if record.known_metrics.get(name) != value}
    calls.log_metrics(record.mlflow_id, [Point(name, value, at, 0) for name, value in new.items()])
    record.known_metrics |= new


def _better(record: Record) -> dict[str, float]:
    """The scores of the best epoch that waits, if it beats what MLflow has."""
    name = record.selects_on
    scored = [line for line in record.lines.values() if name in line.metrics]
    best = max(scored, key=lambda line: line.metrics[name], default=None)
    if best is None or best.metrics[name] <= record.known_metrics.get(name, float("-inf")):
        return {}
    return best.scores(first=name)
