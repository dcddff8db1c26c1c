"""Where a corpus comes from, and what was met and mended when it was made."""

import re
from collections.abc import Iterator

from dferc.corpus.contract import EXTRACTION
from dferc.corpus.doctor.check import Check, Found, Verdict, warnings_or_good
from dferc.corpus.doctor.rows import place
from dferc.corpus.store import Corpus

SHA256 = re.compile(r"[0-9a-f]{64}")
PARTICULARS = re.compile(r"""\d+(?:\.\d+)?|'[^']*'|"[^"]*\"""")
"""Numbers and names of files, in which notes of one kind differ."""


def contract(corpus: Corpus) -> list[Check]:
    """What every corpus that can be opened keeps: the store refuses others."""
    kept = "columns, turns and labels keep the contract; no vector holds NaN or infinity"
    return [Check(name="contract", verdict="good", sentence=kept)]


def fingerprint(corpus: Corpus) -> list[Check]:
    """Whether the content is what the stored fingerprint says: a decoded copy in the cache could be damaged."""
    found = Corpus(corpus.table, corpus.card).fingerprint
    if found == corpus.fingerprint:
        return [Check(name="fingerprint", verdict="good", sentence=f"{found[:16]}..., computed again from the content")]
    sentence = (
        f"the content has {found[:16]}..., not {corpus.fingerprint[:16]}...: empty the cache folder, open it again"
    )
    return [Check(name="fingerprint", verdict="wrong", sentence=sentence)]


def files(corpus: Corpus) -> list[Check]:
    """Whether the card names the files that the corpus was made from, with their hashes."""
    card = corpus.card
    if not card.files and corpus.truth_names:
        return [Check(name="provenance", verdict="good", sentence=f"generated, from no file: {card.source}")]
    return warnings_or_good(
        "provenance", _file_problems(card.files), f"{len(card.files)} files with their SHA-256; {card.source}"
    )


def extraction(corpus: Corpus) -> list[Check]:
    """What extractors noted of utterances, counted by kind; one that still gave a vector has mended it."""
    recorded = [name for name in corpus.card.modalities if EXTRACTION + name in corpus.table.schema.names]
    found = [check for modality in recorded for check in _notes(corpus, modality)]
    if not recorded:
        return [Check(name="extraction", verdict="good", sentence="no modality has notes of an extractor")]
    good = f"nothing was noted when {', '.join(recorded)} were extracted"
    return found or [Check(name="extraction", verdict="good", sentence=good)]


def repairs(corpus: Corpus) -> list[Check]:
    """What the importer mended, as the card says."""
    found = [Check(name="repairs", verdict="mended", sentence=sentence) for sentence in corpus.card.repairs]
    return found or [Check(name="repairs", verdict="good", sentence="nothing had to be mended when it was made")]


def _file_problems(hashes: dict[str, str]) -> Iterator[Found]:
    if not hashes:
        yield "", "the card names no file that it was made from, so nobody can tell what it was: import it again"
    for name, digest in hashes.items():
        if not SHA256.fullmatch(digest):
            yield name, f"the card has {digest!r} for {name}, must be a SHA-256 of 64 hexadecimal digits"


def _notes(corpus: Corpus, modality: str) -> Iterator[Check]:
    recorded = corpus.table[EXTRACTION + modality].to_pylist()
    makers = sorted({row["extractor"] for row in recorded if row and row["extractor"]})
    if len(makers) > 1:
        sentence = f"vectors of {modality} come from {len(makers)} extractors ({', '.join(makers)}): make all with one"
        yield Check(name="extraction", verdict="warning", where=modality, sentence=sentence)
    rows_of: dict[tuple[bool, str], list[int]] = {}
    for row, (there, record) in enumerate(zip(corpus.present(modality).tolist(), recorded, strict=True)):
        if record and record["note"]:
            rows_of.setdefault((there, PARTICULARS.sub("N", record["note"])), []).append(row)
    for (there, _), rows in sorted(rows_of.items(), key=lambda kind: -len(kind[1])):
        result = "used all the same" if there else "left without a vector"
        verdict: Verdict = "mended" if there else "warning"
        first = f"{'the first is ' if len(rows) > 1 else ''}{place(corpus, rows[0])}"
        sentence = f"{len(rows)} utterances of {modality} {result}: {recorded[rows[0]]['note']} ({first})"
        yield Check(name="extraction", verdict=verdict, where=modality, sentence=sentence)
