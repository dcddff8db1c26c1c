"""One background thread that sends records, in batches, for as long as it takes a server to come back."""

import threading
import time
from collections import deque
from collections.abc import Callable

from dferc_platform.secrecy import without_secrets
from dferc_platform.tracking.calls import Calls
from dferc_platform.tracking.records import Record
from dferc_platform.tracking.sender import deliver, prepare
from dferc_platform.tracking.store import connect, import_mlflow

DRAIN_SECONDS = 0.5  # between two looks at the inbox: what comes in the meantime shares a call
LONGEST_PAUSE = 30.0  # seconds between two attempts at an absent server
HURRIED_PAUSE = 1.0  # the same while someone waits in flush
LONGEST_REASON = 200  # characters
GIVE_UP_SECONDS = 10.0  # flush returns when the server has been absent for so long

Change = Callable[[dict[str, Record]], None]


class Writer:
    """Applies changes to records and brings MLflow to what they say.

    The records belong to the thread alone; others hand in changes, which never block, and read ``problem``.
    """

    def __init__(self, uri: str, experiment: str) -> None:
        self._uri, self._experiment = uri, experiment
        self._inbox: deque[Change] = deque()
        self._records: dict[str, Record] = {}
        self._calls: Calls | None = None
        self._failures = 0  # in a row
        self._absent: str | None = None
        self._absent_since = 0.0
        self._refused: str | None = None
        self._hurry, self._stop = threading.Event(), threading.Event()
        self._lock, self._idle = threading.Lock(), threading.Event()
        self._attempt(self._reach)
        self._thread = threading.Thread(target=self._work, name="mlflow-writer", daemon=True)
        self._thread.start()

    @property
    def problem(self) -> str | None:
        """What MLflow did not take, in one sentence."""
        return self._absent or self._refused

    def put(self, change: Change) -> None:
        """Have a change applied and sent."""
        with self._lock:
            self._inbox.append(change)
            self._idle.clear()

    def flush(self) -> bool:
        """Wait until everything is sent, or the server has been absent for ``GIVE_UP_SECONDS``; whether it is sent."""
        since = time.monotonic()
        self._hurry.set()
        while not self._idle.wait(0.05) and self._thread.is_alive():
            if self._absent and time.monotonic() - max(since, self._absent_since) > GIVE_UP_SECONDS:
                break
        self._hurry.clear()
        return self._idle.is_set()

    def stop(self) -> None:
        """End the thread after what it is sending."""
        self._stop.set()
        self._hurry.set()
        if self._idle.is_set():
            self._thread.join()

    def record(self, name: str) -> Record | None:
        """A record, only to be read."""
        return self._records.get(name)

    def _work(self) -> None:
        while not self._stop.is_set():
            self._hurry.wait(self._pause())
            self._take()
            self._attempt(self._send_all)
            with self._lock:
                if not self._inbox and not any(record.due for record in self._records.values()):
                    self._idle.set()

    def _take(self) -> None:
        with self._lock:
            changes = list(self._inbox)
            self._inbox.clear()
        for change in changes:
            try:
                change(self._records)
            except KeyError as unknown:
                self._refused = self._sentence(f"lacks {unknown}, which was never opened", unknown)

    def _pause(self) -> float:
        if not self._hurry.is_set():
            return min(DRAIN_SECONDS * 2.0 ** min(self._failures, 10), LONGEST_PAUSE)
        time.sleep(HURRIED_PAUSE if self._failures else 0.02)
        return 0.0

    def _attempt(self, step: Callable[[], object]) -> None:
        try:
            step()
        except Exception as error:  # whatever MLflow raises, tracking never stops training
            self._failures += 1
            if self._absent is None:
                self._absent_since = time.monotonic()
            self._absent = self._sentence("cannot be used" if _is_refusal(error) else "does not answer", error)
        else:
            self._failures, self._absent = 0, None

    def _reach(self) -> Calls:
        if self._calls is None:
            self._calls = Calls(connect(self._uri, self._experiment))
        return self._calls

    def _send_all(self) -> None:
        due = [record for record in self._records.values() if record.due]
        if not due and self._absent is None:
            return
        calls = self._reach()
        live = {record.mlflow_id for record in self._records.values() if record.live and record.mlflow_id}
        for record in due:
            self._try(record, lambda record: prepare(calls, record, live))
        for record in sorted(due, key=lambda record: record.is_study):  # a study ends after its runs
            self._try(record, lambda record: deliver(calls, record))

    def _try(self, record: Record, step: Callable[[Record], None]) -> None:
        """Send something of a record; one that MLflow refuses is put aside: it would be refused again."""
        try:
            if not record.refused:
                step(record)
        except Exception as error:
            if not _is_refusal(error):
                raise
            record.refused = True
            self._refused = self._sentence(f"did not accept {record.name}", error)

    def _sentence(self, what: str, error: Exception) -> str:
        return without_secrets(
            f"MLflow at {self._uri} {what} ({_reason(error)}): no result is lost, each is kept in its folder; "
            "send them later with `dferc sync FOLDER`"
        )


def _reason(error: BaseException) -> str:
    """What lies at the root: MLflow wraps a refused connection four times."""
    while inner := error.__cause__ or error.__context__:
        error = inner
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= LONGEST_REASON else text[:LONGEST_REASON] + "…"


def _is_refusal(error: Exception) -> bool:
    """Whether the server answered and said no, or the record itself cannot be sent; not that it was out of reach."""
    if isinstance(error, import_mlflow().MlflowException):
        status: int = error.get_http_status_code()
        return 400 <= status < 500 and status not in (408, 429)
    return not isinstance(error, OSError)
