"""The driver's side of tracking: says what happens, and never waits for MLflow."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from dferc_platform.results import Study, write_outcome
from dferc_platform.secrecy import without_secrets
from dferc_platform.tracking.records import RUN_KEY, STUDY_KEY, Ending, Record, now, read_line
from dferc_platform.tracking.store import store_uri
from dferc_platform.tracking.writer import Writer


class Tracker:
    """Sends studies and runs to MLflow from a background thread; only the driver process uses it.

    The ids that it hands out are its own, made of study and run keys, so that nothing waits for a server; ``mlflow_id``
    gives MLflow's. When the server is absent, ``problem`` says so in one sentence, and what could not be sent is in the
    run folders for ``sync`` to send.
    """

    def __init__(self, experiment: str, uri: str | None = None) -> None:
        """Reach the store once, for at most a request's time-out; a store that does not answer is tried again later.

        Args:
            experiment: MLflow experiment; made if there is none.
            uri: MLflow tracking URI; by default ``MLFLOW_TRACKING_URI``, or ``mlflow.db`` in the results folder.

        Raises:
            UserError: the URI is of a kind that MLflow no longer maintains.
        """
        address = store_uri(uri)
        self.uri = without_secrets(address)
        self.experiment = experiment
        self._studies: dict[str, Study] = {}
        self._writer = Writer(address, experiment)

    @property
    def problem(self) -> str | None:
        """Why MLflow lacks something, in one sentence."""
        return self._writer.problem

    def study(self, study: Study, parameters: Mapping[str, Any]) -> str:
        """Open the parent run of a study, the same one for the same study key; its id."""
        self._studies[study.key] = study
        record = Record(study.key, STUDY_KEY, study.name, dict(parameters), _tags(study), now(), study)
        self._writer.put(lambda records: _open(records, study.key, record))
        return study.key

    def run(
        self, key: str, name: str, parameters: Mapping[str, Any], tags: Mapping[str, str], parent: str | None
    ) -> str:
        """Open a run as RUNNING, the same one for the same key inside the parent, with its study's tags; its id."""
        run_id = f"{parent}/{key}" if parent else key
        study = self._studies.get(parent or "")
        inherited = _tags(study) if study else {}
        record = Record(key, RUN_KEY, name, dict(parameters), {**inherited, **tags}, now(), study)

        def change(records: dict[str, Record]) -> None:
            record.parent = records.get(parent or "")
            _open(records, run_id, record)

        self._writer.put(change)
        return run_id

    def epoch(self, run_id: str, metrics: Mapping[str, float]) -> None:
        """Add a line of the history to the curves; an epoch that MLflow has is not added again."""
        line = read_line(metrics, now())
        if line is not None:
            self._writer.put(lambda records: records[run_id].add(line))

    def finish(self, run_id: str, status: str, folder: Path | None) -> None:
        """End a run as FINISHED, FAILED, KILLED or PRUNED (FINISHED with a tag), with what its folder holds."""
        self.end(run_id, Ending(status, folder, {}))

    def finish_study(
        self, run_id: str, status: str, folder: Path | None, metrics: Mapping[str, float] | None = None
    ) -> None:
        """End a study: the report in its folder becomes an artifact, and the outcome is kept there for ``sync``."""
        if folder is not None:
            write_outcome(folder, status, metrics or {})
        self.end(run_id, Ending(status, folder, dict(metrics or {})))

    def end(self, run_id: str, ending: Ending) -> None:
        """End a study or run; nothing is written to its folder."""
        self._writer.put(lambda records: records[run_id].end(ending))

    def reconcile(self, parent: str) -> None:
        """Leave no run of a study RUNNING: to be called when none of its trials is live."""

        def change(records: dict[str, Record]) -> None:
            study = records[parent]
            study.must_reconcile = True
            _kill(record for record in records.values() if record.parent is study)

        self._writer.put(change)

    def mlflow_id(self, run_id: str) -> str | None:
        """MLflow's id of a study or run; None while MLflow does not have it."""
        record = self._writer.record(run_id)
        return (record.mlflow_id or None) if record else None

    def is_sent(self, run_id: str) -> bool:
        """Whether MLflow has everything that was said of a study or run."""
        record = self._writer.record(run_id)
        return bool(record and record.mlflow_id and not record.due and not record.refused)

    def flush(self) -> bool:
        """Wait until everything is sent or the server has been absent for a while; whether everything is sent."""
        return self._writer.flush()

    def close(self) -> None:
        """Send what waits, for a bounded time; whatever has not ended was KILLED."""
        self._writer.put(lambda records: _kill(records.values()))
        self._writer.flush()
        self._writer.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _tags(study: Study) -> dict[str, str]:
    return {
        "study": study.name,
        "kind": study.kind,
        "model": study.model,
        "corpus": study.corpus,
        "fingerprint": study.fingerprint,
    }


def _open(records: dict[str, Record], run_id: str, record: Record) -> None:
    if run_id in records:
        records[run_id].reopen()
    else:
        records[run_id] = record


def _kill(records: Iterable[Record]) -> None:
    for record in records:
        if record.live:
            record.end(Ending("KILLED", None, {}))
