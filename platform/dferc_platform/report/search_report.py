"""The report of a sweep: what it found, how it got there, what the settings did."""

from collections.abc import Sequence
from typing import Any

from dferc_platform.report import provenance, search_figures
from dferc_platform.report.figures import confusion
from dferc_platform.report.html import Report, Tile
from dferc_platform.report.runs import StudyRuns, metric_title
from dferc_platform.report.search import LEAST_TRIALS, Search, search
from dferc_platform.report.style import Figure
from dferc_platform.report.tables import trials_table
from dferc_platform.results import RunRow, read_result

SHOWN_TRIALS = 15
LATE = 0.75
"""A best trial found after this share of the trials says that the search may not be done."""


def search_report(runs: StudyRuns) -> Report:
    """Figures, table and words of a sweep."""
    found = search(runs)
    description = str((runs.study.space or {}).get("description", "")).strip()
    return Report(
        name=runs.study.name,
        title=f"Which settings of {runs.study.model} are best?",
        lead=description or f"A search over {', '.join(found.varied) or 'one setting'}.",
        verdict=_verdict(found),
        tiles=_tiles(found),
        table=trials_table(found, SHOWN_TRIALS),
        figures=_figures(found),
        facts=tuple(provenance.facts(runs)),
        warnings=tuple(provenance.warnings(runs)),
        unfinished=tuple(provenance.unfinished(runs)),
        best_run=f"trial {found.best.number} ({provenance.describe(found.best)})",
        best_yaml=provenance.best_configuration(found.best, open_test=True),
        summary=_summary(found, runs),
        remarks=_remarks(found),
    )


def _score(found: Search, row: RunRow) -> float:
    return row.metrics[found.metric]


def _verdict(found: Search) -> tuple[str, ...]:
    title, best = metric_title(found.metric), found.best
    first = f"Trial {best.number} is best, with a validation {title} of {_score(found, best):.2f}."
    return (first, f"Its settings: {provenance.describe(best)}.", *_margin(found), *_lateness(found), _caution(found))


def _margin(found: Search) -> list[str]:
    others = [row for row in found.ranked if row is not found.best]
    if not others:
        return []
    gap = abs(_score(found, found.best) - _score(found, others[0]))
    return [f"The next trial is {gap:.2f} points away; whether that is chance, only more seeds of both can tell."]


def _lateness(found: Search) -> list[str]:
    place = found.finished.index(found.best) + 1
    if len(found.finished) < LEAST_TRIALS or place <= LATE * len(found.finished):
        return []
    return [
        f"It came late, as number {place} of {len(found.finished)} finished trials: more trials may well find better."
    ]


def _caution(found: Search) -> str:
    return (
        f"The best of {len(found.finished)} validation scores flatters itself, and test takes no part in a search: for "
        "a number to publish, train the best settings with several seeds and read test once."
    )


def _tiles(found: Search) -> tuple[Tile, ...]:
    scores = sorted(_score(found, row) for row in found.finished)
    stopped = sum(row.status == "PRUNED" for row in found.others)
    trials = len(found.finished) + len(found.others)
    return (
        Tile(f"best validation {metric_title(found.metric)}", f"{scores[-1]:.2f}", f"trial {found.best.number}"),
        Tile("middle trial", f"{scores[len(scores) // 2]:.2f}", "median of the finished trials"),
        Tile("finished trials", f"{len(found.finished)} of {trials}", f"{stopped} stopped early by the scheduler"),
        Tile(
            "settings varied",
            str(len(found.varied)),
            ", ".join(found.varied[:3]) + (" …" if len(found.varied) > 3 else ""),
        ),
    )


def _figures(found: Search) -> tuple[Figure, ...]:
    drawn = [search_figures.optimisation_history(found)]
    if found.varied:
        drawn.append(search_figures.slices(found))
    if found.importances:
        drawn.append(search_figures.importances(found))
    return (*drawn, *best_confusion(found.best, "validation"))


def best_confusion(row: RunRow, split: str) -> Sequence[Figure]:
    """The confusion matrix of a run, where its folder has one."""
    labels, matrix = read_result(row.folder).get("labels", []), provenance.confusion_of(row, split)
    return [confusion(matrix, labels, split, f"the best run ({provenance.describe(row)})")] if labels and matrix else []


def _remarks(found: Search) -> tuple[str, ...]:
    if found.importances:
        return ()
    return (
        f"Importance of the settings is not shown: it needs at least {LEAST_TRIALS} finished trials that differ, "
        f"and there are {len(found.finished)}.",
    )


def _summary(found: Search, runs: StudyRuns) -> dict[str, Any]:
    return {
        "kind": runs.study.kind,
        "study": runs.study.name,
        "key": runs.study.key,
        "fingerprint": runs.study.fingerprint,
        "metric": found.metric,
        "verdict": list(_verdict(found)),
        "best": {
            "run": found.best.key,
            "trial": found.best.number,
            "varied": dict(found.best.varied),
            "metrics": {name: value for name, value in found.best.metrics.items() if name.startswith("validation/")},
        },
        "importances": dict(found.importances),
        "finished": len(found.finished),
        "unfinished": [
            {"run": note.run, "status": note.status, "error": note.text} for note in provenance.unfinished(runs)
        ],
    }
