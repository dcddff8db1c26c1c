"""All checks together."""

from collections import Counter
from collections.abc import Callable

from pydantic import BaseModel, ConfigDict

from dferc.corpus.doctor import dialogues, labels, leakage, provenance, splits, vectors
from dferc.corpus.doctor.check import Check, Verdict
from dferc.corpus.store import Corpus

CHECKS: tuple[Callable[[Corpus], list[Check]], ...] = (
    provenance.contract,
    provenance.fingerprint,
    provenance.files,
    splits.sizes,
    splits.repeated_dialogues,
    splits.shared_texts,
    splits.shared_vectors,
    splits.speakers,
    labels.published_counts,
    labels.published_dialogues,
    labels.absent_classes,
    labels.unlabelled,
    dialogues.gaps,
    dialogues.lone_utterances,
    vectors.missing,
    vectors.zeros,
    vectors.repeated,
    vectors.constant,
    vectors.scales,
    vectors.scaling,
    provenance.extraction,
    provenance.repairs,
)
"""Those that only count; label leakage trains classifiers, which takes seconds."""


class Examination(BaseModel):
    """What ``dferc data verify`` shows."""

    model_config = ConfigDict(frozen=True)

    corpus: str
    fingerprint: str
    checks: tuple[Check, ...]

    def of(self, *verdicts: Verdict) -> tuple[Check, ...]:
        """The checks that ended so."""
        return tuple(check for check in self.checks if check.verdict in verdicts)

    @property
    def counts(self) -> dict[Verdict, int]:
        """How many checks ended with each verdict."""
        found = Counter(check.verdict for check in self.checks)
        return {verdict: found[verdict] for verdict in ("good", "mended", "warning", "wrong")}


def examine(corpus: Corpus, quick: bool = False) -> Examination:
    """Check a corpus; ``quick`` leaves out what takes seconds: whether its vectors know the labels of train."""
    checks = [found for check in CHECKS for found in check(corpus)]
    if not quick:
        checks += leakage.label_leakage(corpus)
    return Examination(corpus=corpus.card.name, fingerprint=corpus.fingerprint, checks=tuple(checks))
