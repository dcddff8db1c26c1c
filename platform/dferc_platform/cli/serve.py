"""``dferc ui``: MLflow's own interface on this machine, opened at the comparison that one came for."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dferc.errors import UserError
from dferc_platform.cli.report import say, study_folder

if TYPE_CHECKING:
    from dferc_platform.results import Study

HOST = "127.0.0.1"
START_SECONDS = 120
"""A fresh store on a busy machine took 35 s."""


def ui(
    study: Annotated[
        str | None, typer.Argument(metavar="STUDY", help="Open at the comparison of this study's runs.")
    ] = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on this machine.")] = 5000,
) -> None:
    """Serve MLflow on this machine only, until Ctrl-C, and print where to look.

    Example: dferc ui beta-sensitivity
    """
    from dferc_platform.cluster import prepare_environment
    from dferc_platform.results import read_study
    from dferc_platform.tracking.store import store_uri

    prepare_environment()
    uri = store_uri(None)
    chosen = read_study(study_folder(study)) if study else None
    if uri.startswith(("http://", "https://")):
        _say_where(uri, _study_pages(chosen, uri))
        return
    server = start_server(uri, port)
    try:
        pages = _study_pages(chosen, uri)  # while the server starts
        wait_until_healthy(server, port)
        _say_where(f"http://{HOST}:{port}", pages)
        say("Stop it with Ctrl-C.")
        server.wait()
    except KeyboardInterrupt:
        say("Stopped.")
    finally:
        server.terminate()
        server.wait()


def start_server(uri: str, port: int) -> subprocess.Popen[bytes]:
    """An MLflow server on loopback.

    Raises:
        UserError: there is nothing to show yet, or somebody uses the port.
    """
    database = Path(uri.removeprefix("sqlite:///"))
    if uri.startswith("sqlite:///") and not database.is_file():
        raise UserError(f"there are no results yet: {database} appears with the first `dferc train`")
    with socket.socket() as probe:
        if probe.connect_ex((HOST, port)) == 0:
            raise UserError(f"port {port} is in use: choose another with --port")
    command = [sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(port), "--workers", "1"]
    environment = os.environ | {
        "MLFLOW_BACKEND_STORE_URI": uri,  # no option: it may hold a password, and everybody here sees a command's words
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # a job runner of 8 more processes and 1.8 GB
    }
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def wait_until_healthy(server: subprocess.Popen[bytes], port: int) -> None:
    """Return when the server answers.

    Raises:
        UserError: it ended, or did not answer in time.
    """
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(f"http://{HOST}:{port}/health", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise UserError(f"MLflow's server did not start on port {port}: `mlflow server --port {port}` says why")


def _study_pages(study: "Study | None", uri: str) -> dict[str, str]:
    """What there is to see of a study, and its place under MLflow's address.

    Raises:
        UserError: MLflow does not know the study.
    """
    if study is None:
        return {}
    from dferc_platform.secrecy import without_secrets
    from dferc_platform.tracking.pages import MOST_COMPARED, comparison_page
    from dferc_platform.tracking.store import import_mlflow

    client = import_mlflow().MlflowClient(uri)
    experiment = client.get_experiment_by_name(study.experiment)
    here = f"tags.study = '{study.name}'"
    found = client.search_runs([experiment.experiment_id], here, max_results=MOST_COMPARED) if experiment else []
    runs = [run.info.run_id for run in found if "run_key" in run.data.tags]
    if not runs:
        where = without_secrets(uri)
        raise UserError(f"MLflow at {where} has no runs of {study.name}: send them with `dferc sync {study.name}`")
    return {
        "Runs": f"/#/experiments/{experiment.experiment_id}",
        "Compared": f"/{comparison_page(experiment.experiment_id, runs)}",
    }


def _say_where(address: str, pages: dict[str, str]) -> None:
    from dferc_platform.secrecy import without_secrets

    shown = without_secrets(address).rstrip("/")
    say(f"MLflow: {shown}")
    for title, path in pages.items():
        say(f"{title}: {shown}{path}")
