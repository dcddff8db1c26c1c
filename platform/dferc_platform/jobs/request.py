"""What the cluster is asked to run: the command, its files, its environment, its place."""

import os
import re
import secrets
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from dferc.errors import UserError
from dferc_platform.cluster import ENVIRONMENT
from dferc_platform.jobs.disclosure import check_text, check_variables, check_words
from dferc_platform.jobs.package import Package, pack
from dferc_platform.results import results_folder
from dferc_platform.storage import is_uri

SOURCES = "model:platform"
"""The source roots of the repository: on PYTHONPATH they make dferc importable where it is not installed."""
PATH_OPTIONS = ("--corpus", "--results", "--out")
"""Options whose value, when it is a path, must mean the same on the cluster as here."""
PASSED = ("MLFLOW_TRACKING_URI", "RAY_AUTH_MODE")
"""Variables that a job gets from here."""
STOPPING = {
    "RAY_JOB_STOP_SIGNAL": "SIGINT",  # the default is SIGTERM and, 3 s later, SIGKILL: trials would stay RUNNING
    "RAY_JOB_STOP_WAIT_TIME_S": "30",
}
OURS = ("working_dir", "py_modules", "excludes")
"""Parts of a runtime environment that are made here."""
ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


@dataclass(frozen=True)
class Driver:
    """What the command itself takes, and how often it is given again; its trials take their own."""

    cpus: float = 0
    """0: it takes no trial's CPU, and runs on the head."""
    gpus: float = 0
    memory: int = 0
    """Bytes."""
    retries: int = 2

    def noted(self) -> dict[str, str]:
        """What it asks for, by Ray's names."""
        asked = {"CPU": self.cpus, "GPU": self.gpus, "memory": self.memory}
        return {name: str(amount) for name, amount in asked.items() if amount}


@dataclass(frozen=True)
class JobRequest:
    """A job before it is submitted."""

    id: str
    entrypoint: str
    """The shell command."""
    package: Package
    runtime_env: dict[str, Any]
    """Ray's description of what it needs but the files."""
    driver: Driver
    results: str
    """Folder or URI."""
    metadata: dict[str, str]
    stays: dict[str, str] = field(default_factory=dict)
    """Files and folders that the command names and that do not travel, with the reason."""


def plan_job(
    arguments: Sequence[str],
    working_dir: Path,
    *,
    job: str | None = None,
    driver: Driver = Driver(),
    variables: Mapping[str, str] | None = None,
    runtime_env: Path | None = None,
) -> JobRequest:
    """The job that runs ``dferc ARGUMENTS`` on the files of ``working_dir``.

    Raises:
        UserError: there is no such folder, no command, or something that holds a secret.
    """
    if not arguments:
        raise UserError("there is nothing to submit: write the command after --, as in `dferc submit -- sweep df_erc`")
    if job is not None and not ID.fullmatch(job):
        raise UserError(f"--id {job}: write letters, digits, dots, dashes and underscores")
    words = absolute_paths(arguments)
    check_words(words)
    check_variables(variables or {}, "--env")
    results = _value_of("--results", words) or results_place()
    package = pack(working_dir, [] if is_uri(results) else [Path(results)])
    described = _read_runtime_env(runtime_env) if runtime_env else {}
    own = described.get("env_vars", {})
    described["env_vars"] = {**_environment(package.folder, results), **own, **(variables or {})}
    supervised = ["python", "-m", "dferc_platform.supervise", "--retries", str(driver.retries), "--", *words]
    return JobRequest(
        id=job or _readable_id(words),
        entrypoint=shlex.join(supervised),
        package=package,
        runtime_env=described,
        driver=driver,
        results=results,
        metadata={"command": shlex.join(["dferc", *words]), "results": results, **_study(words), **driver.noted()},
        stays=_stays(arguments, package),
    )


def results_place() -> str:
    """Where a job's results go when its command does not say: a folder, absolute, or a URI."""
    named = os.environ.get("DFERC_RESULTS", "")
    return named if is_uri(named) else str(results_folder())  # the job's own folder is deleted after it


def absolute_paths(arguments: Sequence[str]) -> list[str]:
    """The same arguments with the paths after ``PATH_OPTIONS`` made absolute: a job runs in a folder of Ray's."""
    made: list[str] = []
    for argument in arguments:
        option, equals, value = argument.partition("=")
        if equals and option in PATH_OPTIONS:
            made.append(f"{option}={_absolute(value)}")
        elif made and made[-1] in PATH_OPTIONS:
            made.append(_absolute(argument))
        else:
            made.append(argument)
    return made


def _absolute(value: str) -> str:
    return value if value == "synthetic" or is_uri(value) else str(Path(value).expanduser().resolve())


def _value_of(option: str, words: Sequence[str]) -> str | None:
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word == option and following:
            return following
        if word.startswith(f"{option}="):
            return word.partition("=")[2]
    return None


def _study(words: Sequence[str]) -> dict[str, str]:
    name = _value_of("--name", words)
    return {"study": name} if name else {}


def _readable_id(words: Sequence[str]) -> str:
    """As ``sweep-mosi-3f2a``: the command, its corpus, and what makes it unique."""
    corpus = (_value_of("--corpus", words) or "").rstrip("/").rsplit("/", 1)[-1].rsplit(".", 1)[0]
    command = next((word for word in words if re.fullmatch(r"[a-z]+", word)), "job")
    parts = [re.sub(r"[^a-z0-9]+", "-", part.lower()).strip("-") for part in (command, corpus)]
    return "-".join([*filter(None, parts), secrets.token_hex(2)])


def _environment(working_dir: Path, results: str) -> dict[str, str]:
    passed = {name: os.environ[name] for name in PASSED if name in os.environ}
    check_variables(passed, "the environment variable")
    sources = {"PYTHONPATH": SOURCES} if (working_dir / "platform" / "dferc_platform").is_dir() else {}
    return {**ENVIRONMENT, "DFERC_RESULTS": results, **STOPPING, **sources, **passed}


def _read_runtime_env(path: Path) -> dict[str, Any]:
    """A runtime environment of Ray's from a YAML file.

    Raises:
        UserError: it cannot be read, names what is made here, or holds a secret.
    """
    try:
        text = path.read_text(encoding="utf-8")
        content = yaml.safe_load(text)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"--runtime-env {path} cannot be read as YAML ({type(error).__name__})") from None
    if not isinstance(content, dict) or not isinstance(content.get("env_vars", {}), dict):
        raise UserError(f"--runtime-env {path}: write what Ray calls a runtime environment, as in `pip: [emoji]`")
    if ours := [name for name in OURS if name in content]:
        raise UserError(
            f"--runtime-env {path}: leave out {', '.join(ours)}; --working-dir and .rayignore say what ships"
        )
    check_text(text, f"--runtime-env {path}")
    content["env_vars"] = {str(name): str(value) for name, value in content.get("env_vars", {}).items()}
    check_variables(content["env_vars"], f"--runtime-env {path}:")
    return content


def _stays(arguments: Sequence[str], package: Package) -> dict[str, str]:
    """Of what the command names, what lies in the working directory and does not travel."""
    named = [part for word in arguments for part in (word, word.partition("=")[2]) if part and not is_uri(part)]
    why = {name: package.why_missing(Path(name)) for name in named if os.path.lexists(name)}
    return {name: reason for name, reason in why.items() if reason}
