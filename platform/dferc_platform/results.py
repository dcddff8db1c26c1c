"""Runs and studies as they lie on disk: the truth that tracking, reports and tables are made from.

A run folder holds what the training loop wrote (config.yaml, history.jsonl, result.json ...) and the driver's
verdict.json. Readers accept what a killed process leaves behind: a last line cut short, an epoch written twice, files
that never came.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

import yaml

from dferc.corpus.store import atomic
from dferc.errors import UserError
from dferc_platform.secrecy import without_secrets
from dferc_platform.storage import local_folder, publish

Status = Literal["FINISHED", "FAILED", "KILLED", "PRUNED"]

RUN_FILES = ("config.yaml", "result.json", "verdict.json")


@dataclass(frozen=True)
class Study:
    """A question made of runs, as ``STUDY/study.json`` describes it."""

    kind: str  # sweep, beta or train
    name: str
    key: str  # the same study has the same key; tracking is idempotent by it
    model: str
    corpus: str
    fingerprint: str
    space: dict[str, Any] | None
    config: dict[str, Any]  # nested base config
    experiment: str
    card: dict[str, Any] = field(default_factory=dict)  # of the corpus: source, licence, how it was split
    counts: dict[str, Any] = field(default_factory=dict)  # of the corpus: dialogues, utterances, classes by split


@dataclass(frozen=True)
class RunRow:
    """One run of a study, read from its folder."""

    key: str
    folder: Path
    status: str  # FINISHED, FAILED, KILLED or PRUNED
    number: int | None  # of the trial, in order of creation
    varied: dict[str, Any]  # what the study chose, by short name: {"beta": 0.1, "seed": 0}
    parameters: dict[str, Any]  # every setting by short name
    metrics: dict[str, float]  # of the best epoch; scores in percent
    best_epoch: int | None  # counted from 1
    epochs: int  # that were trained
    seconds: float | None
    error: str | None


def results_folder() -> Path:
    """Where studies lie: ``DFERC_RESULTS``, or ``results`` under the current folder; absolute.

    Of a URI it is this machine's working copy, which holds what was pulled.

    Raises:
        UserError, StoreAwayError: the URI cannot be used, or its store does not answer.
    """
    return local_folder(os.environ.get("DFERC_RESULTS") or "results")


def write_study(folder: Path, study: Study) -> None:
    """Write ``study.json``; it appears whole or not at all."""
    write_json(folder / "study.json", asdict(study))
    publish(folder / "study.json")


def read_study(folder: Path) -> Study:
    """The study in a folder.

    Raises:
        UserError: the folder holds no study, or its study.json cannot be read.
    """
    path = Path(folder) / "study.json"
    if not is_study(Path(folder)):
        raise UserError(f"{folder} is no study: it has no study.json")
    content = _read_json(path)
    parts = [part for part in fields(Study) if part.name in content or part.default_factory is MISSING]
    missing = [part.name for part in parts if part.name not in content]
    if missing:
        raise UserError(f"{path} lacks {', '.join(missing)}: it was not written by this platform")
    return Study(**{part.name: content[part.name] for part in parts})


def write_verdict(
    folder: Path, status: Status, *, varied: Mapping[str, Any], number: int, error: str | None = None
) -> None:
    """Write how the driver saw a trial end to ``verdict.json`` in its run folder."""
    said = without_secrets(error) if error else None
    verdict = {"status": status, "varied": dict(varied), "error": said, "number": number}
    path = folder / "verdict.json"
    if _read_json(path) != verdict:
        write_json(path, verdict)
        publish(path)


def write_outcome(study_folder: Path, status: str, metrics: Mapping[str, float]) -> None:
    """Write how a study ended to ``outcome.json``, with the numbers that sum it up."""
    write_json(study_folder / "outcome.json", {"status": status, "metrics": dict(metrics)})
    publish(study_folder / "outcome.json")


def read_outcome(study_folder: Path) -> dict[str, Any]:
    """What ``outcome.json`` says; empty for a study that has not ended."""
    return _read_json(Path(study_folder) / "outcome.json")


def is_study(folder: Path) -> bool:
    """Whether a folder holds a study."""
    return (folder / "study.json").is_file()


def is_run(folder: Path) -> bool:
    """Whether a folder holds a run, however little of it."""
    return any((folder / name).is_file() for name in RUN_FILES)


def run_name(varied: Mapping[str, Any], key: str) -> str:
    """A name for people: ``beta=0.1 seed=0``; the key where nothing was varied."""
    return " ".join(f"{name}={_short(value)}" for name, value in varied.items()) or key


def read_runs(study_folder: Path) -> list[RunRow]:
    """Every run of a study, in order of trial number.

    Raises:
        UserError: the folder holds no study, or a file of a run cannot be read.
    """
    read_study(study_folder)
    runs = Path(study_folder) / "runs"
    rows = [read_run(folder) for folder in sorted(runs.iterdir()) if is_run(folder)] if runs.is_dir() else []
    return sorted(rows, key=lambda row: (row.number is None, row.number or 0, row.key))


def read_run(folder: Path) -> RunRow:
    """One run.

    result.json is written last, so it outranks an earlier verdict; a run with neither was cut off: KILLED. A run
    without result.json shows the validation scores of its best epoch so far.

    Raises:
        UserError: the folder holds no run, or one of its files cannot be read.
    """
    folder = Path(folder)
    if not is_run(folder):
        raise UserError(f"{folder} is no run: it has none of {', '.join(RUN_FILES)}")
    result, verdict = read_result(folder), _read_json(folder / "verdict.json")
    parameters = _parameters(folder / "config.yaml")
    history = read_history(folder)
    best = _best_line(history, str(parameters.get("select_on", "weighted_f1")))
    finished = result.get("status") == "FINISHED"
    return RunRow(
        key=result.get("key", folder.name),
        folder=folder,
        status="FINISHED" if finished else verdict.get("status", "KILLED"),
        number=verdict.get("number"),
        varied=verdict.get("varied", {}),
        parameters=parameters,
        metrics=result.get("metrics") or validation_scores(best),
        best_epoch=result.get("best_epoch") or (int(best["epoch"]) if best else None),
        epochs=len(history),
        seconds=_seconds(result, history),
        error=None if finished else verdict.get("error"),
    )


def read_result(run_folder: Path) -> dict[str, Any]:
    """What ``result.json`` says; empty for a run that has not finished."""
    return _read_json(Path(run_folder) / "result.json")


def read_history(run_folder: Path) -> list[dict[str, Any]]:
    """The lines of ``history.jsonl``, one an epoch in order; of an epoch that was trained again, the later line."""
    path = Path(run_folder) / "history.jsonl"
    if not path.is_file():
        return []
    lines = filter(None, map(_history_line, path.read_text(encoding="utf-8", errors="replace").splitlines()))
    by_epoch = {int(line["epoch"]): line for line in lines}
    return [by_epoch[epoch] for epoch in sorted(by_epoch)]


def validation_scores(line: Mapping[str, Any]) -> dict[str, float]:
    """The validation metrics of a history line but the losses, as result.json names them."""
    return {k: v for k, v in line.items() if k.startswith("validation/") and not k.startswith("validation/loss")}


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _history_line(text: str) -> dict[str, Any] | None:
    """None for a line that a kill cut short, wherever a resumed run left it."""
    try:
        line = json.loads(text)
    except json.JSONDecodeError:
        return None
    return line if isinstance(line, dict) and "epoch" in line else None


def _best_line(history: list[dict[str, Any]], select_on: str) -> dict[str, Any]:
    name = f"validation/{select_on}"
    scored = [line for line in history if line.get(name, float("nan")) == line.get(name)]
    return max(scored, key=lambda line: line[name], default={})


def _seconds(result: Mapping[str, Any], history: list[dict[str, Any]]) -> float | None:
    if "total" in result.get("seconds", {}):
        return float(result["seconds"]["total"])
    return sum(line.get("epoch_seconds", 0.0) for line in history) if history else None


def _parameters(path: Path) -> dict[str, Any]:
    """Settings by short name, as ``RunConfig.parameters``, but today's code need not know them any more."""
    if not path.is_file():
        return {}
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError):
        content = None
    if not isinstance(content, dict):
        raise UserError(f"{path} cannot be read: it must hold the run's settings as YAML")
    flat = {"model": content.get("model_name")}
    flat |= {name: content[name] for name in ("corpus", "seed", "protocol") if name in content}
    return flat | (content.get("model") or {}) | (content.get("training") or {})


def _read_json(path: Path) -> dict[str, Any]:
    """A JSON object; empty where there is no file."""
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError):
        content = None
    if not isinstance(content, dict):
        raise UserError(f"{path} cannot be read: it must hold one JSON object")
    return content


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON that appears whole or not at all."""
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
