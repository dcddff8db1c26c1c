"""Where a corpus comes from, and what was met and mended when it was made."""

import re
from collections import Counter
from collections.abc import Iterator

from dferc.corpus.contract import EXTRACTION
from dferc.corpus.doctor.check import Check, Found, Verdict, warnings_or_good
from dferc.corpus.store import Corpus

SHA256 = re.compile(r"[0-9a-f]{64}")
NUMBER = re.compile(r"\d+(?:\.\d+)?")


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
    present = corpus.present(modality).tolist()
    notes = [(there, row["note"]) for row, there in zip(recorded, present, strict=True) if row and row["note"]]
    kinds = Counter((there, NUMBER.sub("N", note)) for there, note in notes)
    examples = {(there, NUMBER.sub("N", note)): note for there, note in reversed(notes)}
    for kind, count in kinds.most_common():
        result = "used all the same" if kind[0] else "left without a vector"
        verdict: Verdict = "mended" if kind[0] else "warning"
        example = f"{examples[kind]}{' (the first)' if count > 1 else ''}"
        sentence = f"{count} utterances of {modality} {result}: {example}"
        yield Check(name="extraction", verdict=verdict, where=modality, sentence=sentence)
