"""``dferc data inspect``, ``verify``, ``card``, ``diff``: what a corpus holds, what is wrong with it, what changed."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dferc.errors import UserError
from dferc_platform.cli.corpus_tables import show_comparison, show_examination, show_summary
from dferc_platform.cli.errors import BAD_INPUT, say_warning
from dferc_platform.cli.report import say

if TYPE_CHECKING:
    from dferc.corpus import Corpus

CorpusFile = Annotated[str, typer.Argument(metavar="CORPUS", help="Corpus file, or 'synthetic' for the embedded one.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for other programs.")]
Quick = Annotated[bool, typer.Option("--quick", help="Train no classifiers, which look for label leakage in seconds.")]

DIFFERENT = 1
"""Exit code of ``diff``, as of the diff that everybody knows."""


def inspect(corpus: CorpusFile) -> None:
    """Show what is in a corpus: splits, classes, lengths, speakers, missing modalities, and what looks odd.

    Example: dferc data inspect corpora/meld.parquet
    """
    from dferc.corpus.summary import describe

    summary = describe(_open(corpus))
    show_summary(summary)
    for warning in summary.warnings:
        say_warning(warning)


def verify(
    corpus: CorpusFile,
    strict: Annotated[bool, typer.Option("--strict", help="Exit code 2 for warnings, too.")] = False,
    quick: Quick = False,
    as_json: AsJson = False,
    card: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the card there, as Markdown.")] = None,
) -> None:
    """Check a corpus: what is good, what was mended, what to know, what is wrong; exit code 2 when anything is wrong.

    Example: dferc data verify corpora/mine.parquet

    A file that breaks the contract is refused with all its problems at once.
    """
    from dferc.corpus.doctor import examine

    opened = _open(corpus)
    examination = examine(opened, quick)
    if as_json:
        say(examination.model_dump_json(indent=1))
    else:
        show_examination(examination)
        counts = ", ".join(f"{count} {verdict}" for verdict, count in examination.counts.items())
        say(f"{corpus} keeps the contract; {len(examination.checks)} findings: {counts}.")
    if card is not None:
        from dferc.corpus.card_page import card_page

        _write(card, card_page(opened, examination))
    if examination.of("wrong") or (strict and examination.of("warning")):
        raise typer.Exit(BAD_INPUT)


def card(
    corpus: CorpusFile,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write it there; printed otherwise.")] = None,
    quick: Quick = False,
) -> None:
    """Make the card of a corpus, as Markdown: counts, vectors, licence, provenance, what was mended, what is odd.

    Example: dferc data card corpora/meld.parquet --out corpora/meld.md
    """
    from dferc.corpus.card_page import card_page
    from dferc.corpus.doctor import examine

    opened = _open(corpus)
    page = card_page(opened, examine(opened, quick))
    if out is None:
        say(page.rstrip("\n"))
    else:
        _write(out, page)


def diff(
    a: Annotated[str, typer.Argument(metavar="A", help="Corpus file.")],
    b: Annotated[str, typer.Argument(metavar="B", help="Corpus file.")],
    as_json: AsJson = False,
) -> None:
    """Show how two corpora differ: cards, splits, labels, texts, vectors; exit code 0 when equal, 1 when not.

    Example: dferc data diff corpora/meld.parquet corpora/theirs.parquet
    """
    from dferc.corpus.comparison import compare

    comparison = compare(_open(a), _open(b))
    if as_json:
        say(comparison.model_dump_json(indent=1))
    else:
        show_comparison(comparison)
    if not comparison.equal:
        raise typer.Exit(DIFFERENT)


def _open(corpus: str) -> "Corpus":
    from dferc_platform.saved import open_corpus

    return open_corpus(corpus)


def _write(path: Path, page: str) -> None:
    from dferc.corpus.store import atomic

    try:
        with atomic(path) as temporary:
            temporary.write_text(page, encoding="utf-8")
    except OSError as error:
        raise UserError(f"the card cannot be written to {path} ({error.strerror or error})") from None
    typer.echo(f"Wrote {path}", err=True)
