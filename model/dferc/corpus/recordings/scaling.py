"""Standardising raw numbers by the train utterances, in float64: openSMILE's spread over ten powers of ten."""

import numpy as np
from sklearn.preprocessing import StandardScaler

from dferc.corpus.contract import Scaling


class ScalingFit:
    """Gathers means and spreads from vectors that come in pieces; no more than one piece is in memory."""

    def __init__(self) -> None:
        self._scaler = StandardScaler()

    def add(self, vectors: np.ndarray) -> None:
        """Take account of the raw vectors [n, D] of some train utterances."""
        if len(vectors):
            self._scaler.partial_fit(np.asarray(vectors, np.float64))

    def scaling(self, clip: float) -> Scaling | None:
        """Mean and standard deviation of all that was added; None where nothing was."""
        if not hasattr(self._scaler, "scale_"):
            return None
        return Scaling(mean=tuple(self._scaler.mean_), scale=tuple(self._scaler.scale_), clip=clip)


def apply_scaling(vectors: np.ndarray, scaling: Scaling) -> np.ndarray:
    """Raw vectors [N, D] as standardised and clipped float32."""
    standardised = (np.asarray(vectors, np.float64) - np.array(scaling.mean)) / np.array(scaling.scale)
    clipped: np.ndarray = np.clip(standardised, -scaling.clip, scaling.clip).astype(np.float32)
    return clipped
