"""How a comparison came about: what each model was given, what the runs warned of and which did not finish."""

from collections.abc import Mapping
from typing import Any

from dferc_platform.report import provenance
from dferc_platform.report.comparison import Comparison
from dferc_platform.report.provenance import Fact, Note
from dferc_platform.report.runs import number


def facts(found: Comparison) -> list[Fact]:
    """What somebody needs who wants to trust the numbers or to get them again."""
    study, asked = found.study, found.study.config["comparison"]
    results = [result for s in found.finished for result in s.entry.results]
    recipe, fixed = asked.get("recipe"), asked.get("settings") or {}
    protocols = sorted({str(result.get("protocol", "")) for result in results})
    minutes = sum(float(result.get("seconds", {}).get("total", 0.0)) for result in results) / 60
    known = [
        Fact("Corpus", f"{study.card.get('name', '')}, fingerprint {study.fingerprint[:16]}"),
        Fact("Source", str(study.card.get("source", ""))),
        Fact("Licence", str(study.card.get("licence", ""))),
        Fact("Splits", str(study.card.get("split_note", ""))),
        Fact("Protocol", " ".join(provenance.PROTOCOLS.get(name, name) for name in protocols)),
        Fact("Budget", f"{counted(asked['trials'], 'trial')} a model, seeds {', '.join(map(str, asked['seeds']))}"),
        Fact("Recipe", f"where a model has one, what was published for {recipe}" if recipe else ""),
        Fact("Fixed settings", ", ".join(f"{name} = {number(value)}" for name, value in fixed.items())),
        Fact("Code", ", ".join(sorted({str(result["code"]) for result in results if "code" in result}))),
        Fact("Time", f"{minutes:.1f} min in the seeds of all models, their searches not counted" if minutes else ""),
    ]
    return [fact for fact in known if fact.text]


def warnings(found: Comparison) -> list[Note]:
    """The failure signatures that fired at the end of finished runs, model by model."""
    return [
        Note(f"{s.entry.model}: {note.run}", note.status, note.text)
        for s in found.finished
        for note in provenance.warned(s.entry.runs)
    ]


def unfinished(found: Comparison) -> list[Note]:
    """Models without a score, then seeds of the others that did not finish, with why."""
    notes = [
        Note(
            s.entry.model, "FAILED" if s.entry.error else "NOT FINISHED", s.entry.error or "go on with the same command"
        )
        for s in found.standings
        if not s.entry.runs
    ]
    seeds = [(s.entry.model, note) for s in found.finished for note in provenance.ended_early(s.entry.unfinished)]
    return notes + [Note(f"{model}: {note.run}", note.status, note.text) for model, note in seeds]


def budget(asked: Mapping[str, Any]) -> str:
    """What each model was given, as part of a sentence."""
    seeds = counted(len(asked["seeds"]), "seed")
    if asked["trials"]:
        return f"each searched with {counted(asked['trials'], 'trial')}, its best settings trained again with {seeds}"
    return f"none searched, each trained with its given settings and {seeds}"


def counted(number: int, noun: str) -> str:
    """So many of them: 1 seed, 3 seeds."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
