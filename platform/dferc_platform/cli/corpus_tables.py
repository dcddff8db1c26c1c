"""What is in a corpus, what is wrong with it and how two differ, on the terminal."""

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from dferc_platform.cli.report import say

if TYPE_CHECKING:
    from dferc.corpus.comparison import Comparison, VectorDifference
    from dferc.corpus.doctor import Examination
    from dferc.corpus.summary import SplitSummary, Summary

STYLES = {"good": "green", "mended": "cyan", "warning": "yellow", "wrong": "bold red"}


def show_summary(summary: "Summary") -> None:
    """Where the corpus comes from, and a table of its splits."""
    card = summary.card
    say(f"{card.name}: {summary.utterances} utterances, {summary.dialogues} dialogues, {summary.speakers} speakers")
    for name, modality in card.modalities.items():
        say(f"  {name}: {modality.width} numbers from {modality.extractor}")
    if summary.truth:
        say(f"  truth known of: {', '.join(summary.truth)}")
    say(f"Source: {card.source}")
    say(f"Licence: {card.licence}")
    say(f"Splits: {card.split_note}")
    say(f"Fingerprint: {summary.fingerprint}")
    table = Table(box=None, pad_edge=False)
    table.add_column("split")
    for name in summary.splits:
        table.add_column(name, justify="right")
    columns = [_facts(split) for split in summary.splits.values()]
    for fact in columns[0]:
        table.add_row(fact, *(column[fact] for column in columns))
    Console().print(table)


def show_examination(examination: "Examination") -> None:
    """A row a finding, the good ones too, so that one sees what was looked at."""
    table = _table("", "check", "where", "finding")
    for check in examination.checks:
        verdict = Text(check.verdict, style=STYLES[check.verdict])
        table.add_row(verdict, Text(check.name), Text(check.where), Text(check.sentence))
    Console().print(table)


def show_comparison(comparison: "Comparison") -> None:
    """A row for everything that differs, with the first few examples."""
    if comparison.equal:
        say(f"The same content: {comparison.fingerprint_a}")
        return
    table = _table("what", "where", "A", "B")
    _add(table, "fingerprint", "", comparison.fingerprint_a[:16], comparison.fingerprint_b[:16])
    for field in comparison.card:
        _add(table, "card", field.where, _short(field.a), _short(field.b))
    groups = {"dialogues": comparison.dialogues, "utterances": comparison.utterances}
    for kind, found in ((f"{group} {kind}", found) for group, kinds in groups.items() for kind, found in kinds.items()):
        for i, example in enumerate(found.first):
            _add(table, f"{kind}: {found.count}" if i == 0 else "", example.where, _short(example.a), _short(example.b))
    for modality, vectors in comparison.vectors.items():
        _add(table, "vectors", modality, f"width {vectors.width_a}", f"width {vectors.width_b}; {_vectors(vectors)}")
    Console().print(table)


def _table(*titles: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for title in titles:
        table.add_column(title, overflow="fold")
    return table


def _add(table: Table, *cells: str) -> None:
    """Add a row of plain text: brackets in it are no markup."""
    table.add_row(*map(Text, cells))


def _short(value: str, longest: int = 120) -> str:
    return value if len(value) <= longest else f"{value[:longest]}..."


def _vectors(found: "VectorDifference") -> str:
    lone = f", {found.only_in_a} in A alone, {found.only_in_b} in B alone" if found.only_in_a or found.only_in_b else ""
    if found.differing is None:
        return f"{found.in_both} in both, not comparable{lone}"
    if not found.differing:
        return f"all {found.in_both} in both are equal{lone}"
    numbers = f"largest difference {found.largest:.3g}, lowest cosine {found.lowest_cosine:.6f}"
    return f"{found.differing} of {found.in_both} in both differ, {numbers}{lone}"


def _facts(split: "SplitSummary") -> dict[str, str]:
    facts = {
        "dialogues": split.dialogues,
        "utterances": split.utterances,
        "lengths (median)": f"{split.shortest} to {split.longest} ({split.median:g})",
        "speakers": split.speakers,
        "speakers new here": split.unseen_speakers,
        **{f"without {name}": count for name, count in split.missing.items()},
        "without label": split.unlabelled,
        **{f"labelled {name}": count for name, count in split.classes.items()},
    }
    return {name: str(value) for name, value in facts.items()}
