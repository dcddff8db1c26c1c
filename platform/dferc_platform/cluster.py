"""Where the work runs: the Ray cluster that RAY_ADDRESS names, else one on this machine that ends with the command."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dferc.errors import UserError
from dferc_platform.lifeline import lifeline

ENVIRONMENT = {
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.1",  # default 2: a report takes as long, and a crash loses the last epoch
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # the coming default; without it every start warns
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
"""What Ray and MLflow read when they are imported; a value that the user has set stays."""

OBJECT_STORE = 256 * 2**20
"""Bytes. Corpora are mapped from disk and weights go through files, so little else passes through the store."""


@contextmanager
def connect(cpus: int | None = None) -> Iterator[None]:
    """A Ray cluster for the block: the one we are connected to, the one RAY_ADDRESS names, or a new one here.

    Only a cluster that was started here is stopped here. It takes ``cpus`` logical CPUs, by default those of the
    machine; a cluster that is joined has its own. A cluster that loses its head ends this process, with a sentence.

    Raises:
        UserError: RAY_ADDRESS names nothing that can be joined.
    """
    prepare_environment()
    import ray

    if ray.is_initialized():
        yield
        return
    address = os.environ.get("RAY_ADDRESS")
    if address:
        _join(address)
    else:
        _start(cpus)
    try:
        with lifeline(ray.get_runtime_context().gcs_address):
            yield
    finally:
        ray.shutdown()


@contextmanager
def interruptible() -> Iterator[None]:
    """Ctrl-C in the block is a KeyboardInterrupt; Ray Train installs a handler that exits, and leaves it behind."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit:
        raise KeyboardInterrupt from None
    finally:
        signal.signal(signal.SIGINT, before)


def prepare_environment() -> None:
    """Set the defaults that Ray and MLflow read at import, and let Ray's clients send the token where there is one."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    # Ray starts servers with a token that it finds, but its clients do not send it unless they are told to.
    if "RAY_AUTH_MODE" not in os.environ and ("RAY_AUTH_TOKEN" in os.environ or token_file().is_file()):
        os.environ["RAY_AUTH_MODE"] = "token"
        _read_again()


def _read_again() -> None:
    """Ray reads its settings when it is imported; where it was imported before us and is idle, it reads them anew."""
    if "ray" not in sys.modules:
        return
    import ray
    from ray._raylet import Config  # type: ignore[attr-defined]  # what ray.init does itself when it turns tokens on

    if not ray.is_initialized():
        Config.initialize("")


def token_file() -> Path:
    """Where Ray keeps the secret that opens a cluster."""
    return Path(os.environ.get("RAY_AUTH_TOKEN_PATH", Path.home() / ".ray" / "auth_token")).expanduser()


def first_line(error: Exception) -> str:
    """The first line of what an error says; its kind where it says nothing."""
    return next(iter(str(error).splitlines()), type(error).__name__)


def in_job_package() -> bool:
    """Whether the current folder is the copy that Ray made for a job, and will be deleted after it."""
    return any(part.startswith("_ray_pkg_") for part in Path.cwd().parts)


def _start(cpus: int | None) -> None:
    import ray

    ray.init(
        address="local",  # never one that happens to run on this machine
        num_cpus=cpus,
        include_dashboard=True,  # the cleaner of stopped trials asks it; without it their resources leak
        dashboard_host="127.0.0.1",
        object_store_memory=OBJECT_STORE,
        log_to_driver=False,
        logging_level="error",
    )
    if token_file().is_file():
        token_file().chmod(0o600)  # Ray leaves it readable by everybody


def _join(address: str) -> None:
    import ray

    if address.startswith(("http://", "https://")):
        raise UserError(
            f"RAY_ADDRESS={address} is the address for submitting jobs: "
            "use `dferc submit`, or give HOST:6379 to join the cluster"
        )
    try:
        ray.init(address=address, log_to_driver=False, logging_level="error")
    except ray.exceptions.AuthenticationError:
        raise UserError(
            f"the Ray cluster at {address} asks for a token: put it into {token_file()} and set RAY_AUTH_MODE=token"
        ) from None
    except (ConnectionError, ValueError, RuntimeError, TimeoutError) as error:
        raise UserError(
            f"the Ray cluster at RAY_ADDRESS={address} cannot be joined ({first_line(error)}): "
            "start it, or unset RAY_ADDRESS to run on this machine"
        ) from None
