"""Where results are tracked: finding the MLflow store, and making the local one."""

import fcntl
import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from dferc.errors import UserError
from dferc_platform.results import results_folder
from dferc_platform.secrecy import without_secrets
from dferc_platform.storage import shown

logger = logging.getLogger(__name__)

SQLITE = "sqlite:///"

# Set before MLflow is first imported, unless the user has set them. A request is not repeated by MLflow itself, which
# would block for minutes, but by the writer's own back-off.
QUIET_AND_QUICK = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",  # seconds
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}


@dataclass(frozen=True)
class Connection:
    """An MLflow client and the experiment that it writes to."""

    client: Any  # mlflow.MlflowClient, untyped because MLflow is imported late
    experiment: str  # MLflow's id


def store_uri(uri: str | None) -> str:
    """The store to use: the argument, ``MLFLOW_TRACKING_URI``, or ``mlflow.db`` in the results folder.

    Raises:
        UserError: a file store, which MLflow no longer maintains.
    """
    chosen = uri or os.environ.get("MLFLOW_TRACKING_URI") or _beside_the_results()
    if chosen.startswith("file:") or "://" not in chosen:
        raise UserError(
            f"the tracking URI {without_secrets(chosen)} is a folder, which MLflow no longer maintains: "
            "use http://HOST:PORT or sqlite:///PATH.db"
        )
    if path := sqlite_path(chosen):
        return f"{SQLITE}{path}"
    return chosen


def _beside_the_results() -> str:
    database = results_folder() / "mlflow.db"
    if shown(database) != str(database):
        _warn_of_local_database(database)
    return f"{SQLITE}{database}"


@cache
def _warn_of_local_database(database: Path) -> None:
    logger.warning(
        "MLflow's database stays on this machine, in %s: only files can be kept in an object store. "
        "MLFLOW_TRACKING_URI names a server that all can reach, and `dferc sync` fills it at any time",
        database,
    )


def sqlite_path(uri: str) -> Path | None:
    """The absolute path of a SQLite store's file."""
    return Path(uri.removeprefix(SQLITE)).expanduser().resolve() if uri.startswith(SQLITE) else None


def connect(uri: str, experiment: str) -> Connection:
    """Reach the store and find or make the experiment; a local database is made and migrated by one process at a time.

    Raises:
        mlflow.MlflowException, OSError, sqlite3.Error: the store cannot be reached or used.
    """
    import_mlflow()
    path = sqlite_path(uri)
    if path is None:
        # A server decides where artifacts lie; for a database without one, MLflow would take the current folder.
        return _enter(uri, experiment, None if uri.startswith("http") else results_folder() / "mlartifacts")
    with _alone(path):
        with closing(sqlite3.connect(path)) as database:
            database.execute("PRAGMA journal_mode=WAL")  # readers and a writer together; persists in the file
        return _enter(uri, experiment, path.parent / "mlartifacts")


def import_mlflow() -> Any:
    """MLflow, imported when first needed (it takes over a second) and quiet."""
    for name, value in QUIET_AND_QUICK.items():
        os.environ.setdefault(name, value)
    import mlflow

    for name in ("mlflow", "alembic", "urllib3.connectionpool"):
        logging.getLogger(name).setLevel(logging.ERROR)
    return mlflow


@contextmanager
def _alone(database: Path) -> Iterator[None]:
    """Hold a lock beside the database: two processes that create its tables together leave it unusable."""
    database.parent.mkdir(parents=True, exist_ok=True)
    with database.with_name(f".{database.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _enter(uri: str, experiment: str, artifacts: Path | None) -> Connection:
    client = import_mlflow().MlflowClient(tracking_uri=uri)  # makes the tables of a new database
    found = client.get_experiment_by_name(experiment) or _make_experiment(client, experiment, artifacts)
    if found.lifecycle_stage == "deleted":
        raise UserError(f"the MLflow experiment {experiment!r} is deleted: restore it, or choose another name")
    return Connection(client, str(found.experiment_id))


def _make_experiment(client: Any, name: str, artifacts: Path | None) -> Any:
    try:
        client.create_experiment(name, artifact_location=artifacts.as_uri() if artifacts else None)
    except import_mlflow().MlflowException:
        if client.get_experiment_by_name(name) is None:  # else another driver has just made it
            raise
    return client.get_experiment_by_name(name)
