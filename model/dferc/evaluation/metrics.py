"""How good predictions are, in percent, as the field prints them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.metrics import confusion_matrix

from dferc.corpus.batch import NO_LABEL
from dferc.errors import UserError


@dataclass(frozen=True)
class Scores:
    """Scores of one set of predictions, in percent."""

    weighted_f1: float
    """Mean of the classes' F1, weighted by how often each class is true: the headline metric of the field."""
    macro_f1: float
    """Unweighted mean of the F1 of the classes that are true or predicted somewhere."""
    accuracy: float
    """Share of right predictions."""
    f1: dict[str, float]
    """F1 of each class by name; 0 where nothing was right, also for a class that occurs nowhere."""
    confusion: tuple[tuple[int, ...], ...]
    """[C][C] utterances by true class (row) and predicted class (column)."""

    def as_metrics(self, prefix: str) -> dict[str, float]:
        """The numbers by the names they are tracked under: ``validation/weighted_f1``, ``validation/f1/joy`` ..."""
        summary = {"weighted_f1": self.weighted_f1, "macro_f1": self.macro_f1, "accuracy": self.accuracy}
        per_class = {f"f1/{name}": value for name, value in self.f1.items()}
        return {f"{prefix}/{name}": value for name, value in (summary | per_class).items()}


def score(labels: np.ndarray, probabilities: np.ndarray, label_names: Sequence[str]) -> Scores:
    """Score the most probable class of each utterance; utterances without a label (-1) are left out.

    Args:
        labels: [N] true classes.
        probabilities: [N, C] probability of each class; only their order inside a row matters.
        label_names: [C] names of the classes.

    Raises:
        UserError: no utterance has a label, or a probability is not finite.
    """
    known = labels != NO_LABEL
    if not known.any():
        raise UserError(f"none of the {len(labels)} utterances to score has a label: score a split that has labels")
    if not np.isfinite(probabilities[known]).all():
        raise UserError(
            "the model's probabilities are NaN or infinite: its training diverged, try a lower learning_rate"
        )
    return score_classes(labels[known], probabilities[known].argmax(1), label_names)


def score_classes(labels: np.ndarray, predicted: np.ndarray, label_names: Sequence[str]) -> Scores:
    """Score predicted classes [N] against true classes [N], at least one; every utterance counts."""
    confusion = confusion_matrix(labels, predicted, labels=np.arange(len(label_names)))
    return Scores(
        **{name: float(value) for name, value in overall(confusion).items()},
        f1=dict(zip(label_names, class_f1(confusion).tolist(), strict=True)),
        confusion=tuple(map(tuple, confusion.tolist())),
    )


def overall(confusion: np.ndarray) -> dict[str, np.ndarray]:
    """Each metric [...] by name, in percent, of confusion matrices [..., C, C] that hold an utterance each at least."""
    support, predicted = confusion.sum(-1), confusion.sum(-2)
    total, occurs = support.sum(-1), support + predicted > 0
    f1 = class_f1(confusion)
    return {
        "weighted_f1": (f1 * support).sum(-1) / total,
        "macro_f1": f1.sum(-1) / occurs.sum(-1),
        "accuracy": 100 * confusion.trace(axis1=-2, axis2=-1) / total,
    }


def class_f1(confusion: np.ndarray) -> np.ndarray:
    """F1 of each class [..., C], in percent: 2 TP / (true + predicted), 0 for a class that occurs nowhere."""
    occurrences = confusion.sum(-1) + confusion.sum(-2)
    right = confusion.diagonal(axis1=-2, axis2=-1)
    return np.asarray(200 * right / np.maximum(occurrences, 1))
