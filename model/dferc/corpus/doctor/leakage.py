"""Whether vectors know the labels of train.

Feature files are often made by networks that were trained on the labels of all train dialogues. A simple classifier
gives them away: trained on one half of the train dialogues it is far better on the other half than on test, though it
has seen neither. Validation, when it was cut from train, is then far too easy.
"""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from dferc.corpus.doctor.check import Check, warnings_or_good
from dferc.corpus.store import Corpus, Dialogue

MOST = 2000
"""Utterances that a classifier is trained on, and that it is scored on."""
FEWEST = 50
"""Labelled utterances below which a share says nothing."""
FEWEST_OF_CLASS = 10
"""Utterances of a class below which it is left out."""
MOST_NUMBERS = 256
"""Width from which vectors are reduced to their principal components, to stay within seconds."""
MUCH_BETTER = 15.0
"""Points; other speakers and topics alone make up to about ten."""
SURE = 3.0
"""Standard errors of the difference."""

NAME = "label leakage"


@dataclass(frozen=True)
class Accuracies:
    """Shares of right answers, in percent, of one classifier, each class counting the same.

    So a test split with other shares of the classes than train has does not look like a leak.
    """

    held_out: float
    test: float
    error: float
    """Standard error of their difference, utterances taken as independent."""

    @property
    def leaks(self) -> bool:
        """Whether train is too easy to be unseen."""
        gap = self.held_out - self.test
        return gap > MUCH_BETTER and gap > SURE * self.error


def label_leakage(corpus: Corpus) -> list[Check]:
    """Whether a logistic regression is far better on held-out train dialogues than on test, a modality at a time."""
    found, said = [], []
    for modality in corpus.card.modalities:
        scores = accuracies(corpus, modality)
        if scores is None:
            continue
        numbers = f"{scores.held_out:.1f} % right on train dialogues that were held out, {scores.test:.1f} % on test"
        said.append(f"{modality} {numbers}")
        if scores.leaks:
            advice = "do not believe validation scores where validation comes from train"
            found.append((modality, f"{modality} vectors seem to know the labels of train: {numbers}; {advice}"))
    return warnings_or_good(NAME, found, "; ".join(said) or "too few labelled utterances in train or test to tell")


def accuracies(corpus: Corpus, modality: str) -> Accuracies | None:
    """Trained on one half of train, right on the other half and on test; None where there is too little to tell."""
    train = corpus.split("train")
    shuffled = [train[i] for i in np.random.default_rng(0).permutation(len(train))]
    middle = len(shuffled) // 2
    parts = [_rows(corpus, modality, part) for part in (shuffled[:middle], shuffled[middle:], corpus.split("test"))]
    if min(map(len, parts)) < FEWEST or len(np.unique(corpus.labels[parts[0]])) < 2:
        return None
    fit, held_out, test = ((corpus.features(modality)[rows], corpus.labels[rows]) for rows in parts)
    classifier = _trained(*fit)
    sizes = np.stack([np.bincount(labels, minlength=len(corpus.card.labels)) for _, labels in (held_out, test)])
    classes = np.flatnonzero(sizes.min(0) >= FEWEST_OF_CLASS)
    if not len(classes):
        return None
    right = np.stack([_recalls(classifier, *part, classes) for part in (held_out, test)])
    error = np.sqrt((right * (1 - right) / sizes[:, classes]).sum()) / len(classes)
    return Accuracies(*(100 * float(number) for number in (*right.mean(1), error)))


def _recalls(classifier: Any, vectors: np.ndarray, labels: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Share [C] of right answers for each of some classes."""
    right = classifier.predict(vectors) == labels
    return np.array([right[labels == label].mean() for label in classes])


def _rows(corpus: Corpus, modality: str, dialogues: "tuple[Dialogue, ...] | list[Dialogue]") -> np.ndarray:
    """Labelled rows [n] of these dialogues that have the modality, at most ``MOST`` of them."""
    rows = np.concatenate([np.arange(d.start, d.stop) for d in dialogues] or [np.empty(0, np.int64)])
    rows = rows[(corpus.labels[rows] >= 0) & corpus.present(modality)[rows]]
    some = np.linspace(0, len(rows) - 1, min(len(rows), MOST)).astype(int)
    return np.take(rows, some)


def _trained(vectors: np.ndarray, labels: np.ndarray) -> Any:
    """A scikit-learn classifier."""
    from sklearn.decomposition import PCA
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    steps = [StandardScaler()]
    if min(vectors.shape) > MOST_NUMBERS:
        steps.append(PCA(MOST_NUMBERS, svd_solver="randomized", random_state=0))
    classifier = make_pipeline(*steps, LogisticRegression(C=0.1, max_iter=100))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return classifier.fit(vectors, labels)
