"""Is each mechanism of the method at work? A few numbers over an evaluation pass, and a sentence for each failure."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from scipy.special import entr
from scipy.stats import spearmanr
from torch import Tensor

from dferc.corpus.batch import NO_LABEL, DialogueBatch
from dferc.evaluation.signatures import PREFIX, warnings

__all__ = ["Monitor", "warnings"]

UTTERANCE = ("modality_similarity", "utterance_similarity", "consistency", "context_gate")
"""Diagnostics that are one number an utterance, [B, T]."""
MODALITY = ("fusion_weights", "confidence", "true_class_probability")
"""Diagnostics that are one number an utterance and modality, [B, T, M]."""


class Monitor:
    """Collects a model's diagnostics over an evaluation pass and sums them up.

    What a model does not emit is absent from the summary. Each worker adds its own batches; the gathered rows of all
    workers give one summary: ``monitor.summary(across.gather(monitor.rows())[0])``.
    """

    def __init__(self, modalities: Sequence[str]) -> None:
        """``modalities`` [M]: names in the order in which the model stacks them."""
        self.modalities = tuple(modalities)
        self._widths = dict.fromkeys(UTTERANCE, 1) | dict.fromkeys(MODALITY, len(self.modalities))
        self._parts: list[Tensor] = []

    def add(self, batch: DialogueBatch, diagnostics: Mapping[str, Tensor]) -> None:
        """Keep what the model says of the real utterances, but nothing of a modality or a label that they lack."""
        missing = torch.stack([~batch.present.get(name, batch.mask) for name in self.modalities], -1)
        unlabelled = (batch.labels == NO_LABEL).unsqueeze(-1)
        unknown = dict.fromkeys(MODALITY, missing) | {"true_class_probability": missing | unlabelled}
        columns = []
        for name, width in self._widths.items():
            if name in diagnostics:
                column = batch.flat(diagnostics[name]).detach().float().reshape(len(batch.valid), width)
            else:
                column = torch.full((len(batch.valid), width), torch.nan, device=batch.mask.device)
            columns.append(column.masked_fill(batch.flat(unknown[name]), torch.nan) if name in unknown else column)
        self._parts.append(torch.cat(columns, 1))

    def rows(self) -> Tensor:
        """This worker's utterances [N, K], NaN where something is unknown; K is the same on every worker."""
        return torch.cat(self._parts) if self._parts else torch.empty(0, sum(self._widths.values()))

    def summary(self, rows: Tensor | None = None) -> dict[str, float]:
        """The numbers to track over this worker's utterances, or over ``rows`` [N, K] of all workers."""
        seen = self._emitted(self.rows() if rows is None else rows)
        found = {name: float(np.nanmean(seen[name])) for name in UTTERANCE if name in seen}
        if "fusion_weights" in seen:
            found |= _fusion(seen["fusion_weights"], self.modalities)
        if "confidence" in seen and "true_class_probability" in seen:
            found |= _confidence(seen["confidence"], seen["true_class_probability"])
        if "context_gate" in seen:
            found["context_gate_spread"] = _spread(seen["context_gate"])
        if "context_gate" in seen and "consistency" in seen:
            found["gate_consistency_correlation"] = _rank_correlation(seen["context_gate"], seen["consistency"])
        return {PREFIX + name: value for name, value in found.items()}

    def _emitted(self, rows: Tensor) -> dict[str, np.ndarray]:
        """What the model said, by name [N, 1 or M]; nothing of the fusion where there is one modality to fuse."""
        table = rows.double().cpu().numpy()
        columns = np.split(table, np.cumsum(list(self._widths.values()))[:-1], axis=1)
        watched = UTTERANCE if len(self.modalities) == 1 else UTTERANCE + MODALITY
        named = zip(self._widths, columns, strict=True)
        return {name: column for name, column in named if name in watched and not np.isnan(column).all()}


def _fusion(weights: np.ndarray, modalities: Sequence[str]) -> dict[str, float]:
    """What the fusion weights [N, M] look like: their mean, how much they move, how evenly they are shared out.

    The entropy is that of an utterance's weights over the log of the number of modalities it has: 1 is an equal share
    for each, 0 is all for one. Utterances with fewer than two modalities have no choice and do not count in it.
    """
    seen = ~np.isnan(weights).all(0)
    means = np.nanmean(weights[:, seen], axis=0)
    found = {f"fusion_weight/{m}": float(v) for m, v in zip(np.array(modalities)[seen], means, strict=True)}
    found["fusion_weight_spread"] = _spread(weights[:, seen])
    choices = (~np.isnan(weights)).sum(1)
    if (choices > 1).any():
        entropy = np.nansum(entr(weights), axis=1)[choices > 1] / np.log(choices[choices > 1])
        found["fusion_weight_entropy"] = float(entropy.mean())
    return found


def _confidence(student: np.ndarray, teacher: np.ndarray) -> dict[str, float]:
    """How near the student's confidence [N, M] comes to the teacher's true-class probability, and if it follows.

    The rank correlation is taken over the utterances, within each modality, and averaged: a student that only knows
    which modality is the better one in general does not score in it.
    """
    pairs = [_both_known(s, t) for s, t in zip(student.T, teacher.T, strict=True)]
    return {
        "confidence_error": float(np.nanmean(np.abs(student - teacher))),
        "confidence_rank_correlation": float(np.mean([_rank_correlation(s, t) for s, t in pairs if s.size])),
    }


def _spread(columns: np.ndarray) -> float:
    """Standard deviation over the utterances, mean over the columns of [N, K]; exactly 0 where nothing moves at all."""
    from_first = columns - columns[np.isfinite(columns).argmax(0), np.arange(columns.shape[1])]
    return float(np.nanstd(from_first, axis=0).mean())


def _both_known(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    known = ~np.isnan(a + b)
    return a[known], b[known]


def _rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman's correlation; 0 where one side never moves."""
    a, b = _both_known(a.ravel(), b.ravel())
    return float(spearmanr(a, b).statistic) if np.ptp(a) and np.ptp(b) else 0.0
