"""How the numbers came about: corpus, protocol, code, seeds, time; what the runs warned of and which did not finish."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import pyarrow.parquet as pq
import yaml

from dferc_platform.report.runs import StudyRuns, number
from dferc_platform.results import RunRow, Study, read_result

PROTOCOLS = {
    "strict": "strict: validation chose the epoch of every run and all else that was chosen; test chose nothing.",
    "published": "published: test chose the epoch of every run, as the published code does, so the scores flatter the "
    "model and must not be compared with strict ones.",
}
REASONS = {
    "PRUNED": "stopped early by the scheduler, so its score is of a smaller budget",
    "KILLED": "cut off before its end; resuming the study finishes it",
    "FAILED": "no error was recorded",
}
SHOWN_RUNS = 4
"""Runs that are named beside one warning."""
NUMBER = re.compile(r"-?\d+(\.\d+)?")


@dataclass(frozen=True)
class Fact:
    """One line of how it was done."""

    name: str
    text: str


@dataclass(frozen=True)
class Note:
    """What one run has to say, a warning or why it did not finish."""

    run: str
    status: str
    text: str


def facts(runs: StudyRuns) -> list[Fact]:
    """What somebody needs who wants to trust the numbers or to get them again."""
    study, results = runs.study, [read_result(row.folder) for row in runs.finished]
    found = [
        Fact("Model", f"{study.model}, {_parameters(results)}"),
        Fact("Corpus", f"{study.corpus}; {_counts(runs.finished[0])}"),
        Fact("Corpus fingerprint", study.fingerprint),
        Fact("Corpus source", str(study.card.get("source", ""))),
        Fact("Corpus licence", str(study.card.get("licence", ""))),
        Fact("Splits", str(study.card.get("split_note", ""))),
        Fact(
            "Protocol", " ".join(PROTOCOLS.get(name, name) for name in _distinct(results, "protocol")) + _test_use(runs)
        ),
        Fact(
            "Seeds",
            ", ".join(sorted({str(row.parameters.get("seed")) for row in runs.finished}, key=lambda s: (len(s), s))),
        ),
        Fact("Code", ", ".join(_distinct(results, "code"))),
        Fact("Runs", f"{len(runs.finished)} finished, {len(runs.others)} not"),
        Fact("Time", _time(results)),
        Fact("MLflow", _tracking(study)),
    ]
    return [fact for fact in found if fact.text]


def warnings(runs: StudyRuns) -> list[Note]:
    """The failure signatures that fired at the end of finished runs, each once, with the numbers of the first run."""
    return warned(runs.finished)


def warned(finished: Sequence[RunRow]) -> list[Note]:
    """The failure signatures that fired at the end of these runs, each once, with the numbers of the first run."""
    first: dict[str, str] = {}
    fired: dict[str, list[str]] = {}
    for row in finished:
        for text in read_result(row.folder).get("warnings", []):
            signature = NUMBER.sub("#", text)
            first.setdefault(signature, text)
            fired.setdefault(signature, []).append(describe(row))
    return [Note(_listed(fired[signature], len(finished)), "FINISHED", text) for signature, text in first.items()]


def unfinished(runs: StudyRuns) -> list[Note]:
    """The runs that do not count, with why."""
    return ended_early(runs.others)


def ended_early(rows: Sequence[RunRow]) -> list[Note]:
    """How each of these runs ended, with why."""
    return [Note(describe(row), row.status, row.error or REASONS.get(row.status, "")) for row in rows]


def describe(row: RunRow) -> str:
    """What makes a run differ from its siblings: 'beta = 0.1, seed = 2'."""
    return ", ".join(f"{name} = {number(value)}" for name, value in row.varied.items()) or row.key


def best_configuration(row: RunRow, *, open_test: bool) -> str:
    """The settings of a run as YAML for ``dferc train --config``, with test opened where a sweep had sealed it."""
    content = yaml.safe_load((row.folder / "config.yaml").read_text(encoding="utf-8"))
    if open_test:
        content["score_test"] = True
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True)


def confusion_of(row: RunRow, split: str) -> list[list[int]]:
    """Utterances of one split by true and predicted class [C][C]; empty where the run kept none."""
    path = row.folder / "confusion.json"
    content: dict[str, list[list[int]]] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return content.get(split, [])


def _distinct(results: Sequence[dict[str, Any]], name: str) -> list[str]:
    return sorted({str(result[name]) for result in results if name in result})


def _listed(some: Sequence[str], total: int) -> str:
    if len(some) == total > 1:
        return f"all {total} runs"
    rest = f" and {len(some) - SHOWN_RUNS} more" if len(some) > SHOWN_RUNS else ""
    return "; ".join(some[:SHOWN_RUNS]) + rest


def _parameters(results: Sequence[dict[str, Any]]) -> str:
    counts = {int(result["parameters"]) for result in results if "parameters" in result}
    span = (
        " to ".join(f"{count:,}" for count in sorted({min(counts), max(counts)})) if counts else "an unknown number of"
    )
    return f"{span} parameters"


def _test_use(runs: StudyRuns) -> str:
    if runs.scores_test:
        return " Each run scored test once, after its training."
    return " Test takes no part in this report."


def _counts(row: RunRow) -> str:
    """Dialogues and utterances of the scored splits, from the predictions of one run."""
    path = row.folder / "predictions.parquet"
    if not path.is_file():
        return "sizes unknown, as the first run kept no predictions"
    table = pq.read_table(path, columns=["dialogue", "split"]).to_pandas()
    sizes = table.groupby("split")["dialogue"].agg(["count", "nunique"])
    counted = (
        f"{split}: {size['count']} utterances in {size['nunique']} dialogues" for split, size in sizes[::-1].iterrows()
    )
    return ", ".join(counted)


def _tracking(study: Study) -> str:
    return f"experiment {study.experiment}, parent run {study.name}; dferc ui {study.name} opens it"


def _time(results: Sequence[dict[str, Any]]) -> str:
    spent = [result["seconds"] for result in results if result.get("seconds", {}).get("total")]
    if not spent:
        return ""
    total, training = (sum(seconds.get(part, 0.0) for seconds in spent) for part in ("total", "training"))
    a_run = median(seconds["total"] for seconds in spent)
    share = f"{100 * training / total:.0f} % of it is training"
    return f"{a_run:.1f} s a run (median), {total / 60:.1f} min in all runs together; {share}"
