"""What is in a corpus, on the terminal."""

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from dferc_platform.cli.report import say

if TYPE_CHECKING:
    from dferc.corpus.summary import SplitSummary, Summary


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
