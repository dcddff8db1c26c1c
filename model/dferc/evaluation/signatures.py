"""The known ways in which the method fails without an error, each with the number that shows it and its threshold."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

PREFIX = "diagnostics/"


@dataclass(frozen=True)
class Signature:
    """A diagnostic that says, beyond a threshold, that a mechanism does not do its work."""

    name: str
    """The diagnostic; ``fusion_weight`` stands for every ``fusion_weight/<modality>``."""
    side: Literal["above", "below"]
    threshold: float
    sentence: str
    """What is seen, what it means, where to look; ``{value}`` and ``{modality}`` are filled in."""
    moves: str | None = None
    """Spread of the weight it is about; exactly 0 says that the configuration sets it, and then nothing has failed."""

    def fires(self, value: float) -> bool:
        """Whether the value lies beyond the threshold."""
        return value > self.threshold if self.side == "above" else value < self.threshold


SIMILAR = 0.9
"""Mean cosine above which vectors are hardly distinct: an angle below 26 degrees."""
STILL = 0.01
"""Standard deviation below which a weight between 0 and 1 counts as a constant."""
DOMINANT = 0.9
"""Mean fusion weight above which the other modalities are as good as absent."""
GUESS_ERROR = 0.25
"""Mean error of a student that always says one half of probabilities spread evenly over 0 to 1."""
UNRELATED = 0.1
"""Rank correlation below which one thing does not follow another: under 1 % of the variance of the ranks."""
OBEDIENT = -0.5
"""Rank correlation of gate and consistency that a working refusion stays below; the published rule has -1."""
SHUT, OPEN = 0.05, 0.95
"""Mean weight of the context below which it is hardly used, and above which consistency holds nothing back."""

SIGNATURES = (
    Signature(
        "modality_similarity",
        "above",
        SIMILAR,
        "the modalities' features are nearly the same (mean cosine {value:.3f}): disentanglement at the modality level "
        "fails; look at the weight and the temperature of the modality contrast",
    ),
    Signature(
        "utterance_similarity",
        "above",
        SIMILAR,
        "the features of different utterances are nearly the same (mean cosine {value:.3f}): they have collapsed; "
        "look at the weight and the temperature of the utterance contrast",
    ),
    Signature(
        "fusion_weight_spread",
        "below",
        STILL,
        "fusion weights hardly move between utterances (spread {value:.3f}): CFM works as a plain sum; "
        "look at the weight of the confidence loss and at dropout",
        moves="fusion_weight_spread",
    ),
    Signature(
        "fusion_weight",
        "above",
        DOMINANT,
        "nearly all fusion weight goes to {modality} (mean {value:.3f}): the other modalities are as good as absent; "
        "look at their features and their unimodal scores",
        moves="fusion_weight_spread",
    ),
    Signature(
        "confidence_error",
        "above",
        GUESS_ERROR,
        "predicted confidence misses the true-class probability by {value:.3f} on average: CFM's weights are guesses; "
        "look at the weight of the confidence loss",
    ),
    Signature(
        "confidence_rank_correlation",
        "below",
        UNRELATED,
        "predicted confidence does not follow the true-class probability (rank correlation {value:.3f}): CFM's weights "
        "do not track reliability; look at the weight of the confidence loss and at overfitted unimodal classifiers",
    ),
    Signature(
        "context_gate_spread",
        "below",
        STILL,
        "the context gate hardly moves between utterances (spread {value:.3f}): CRM works as a fixed weight; "
        "look at the weight of the margin loss and at beta",
        moves="context_gate_spread",
    ),
    Signature(
        "gate_consistency_correlation",
        "above",
        OBEDIENT,
        "the context gate ignores consistency (rank correlation {value:.3f}, near -1 when it follows): context is not "
        "held back where the modalities agree; look at how the model computes its gate",
        moves="context_gate_spread",
    ),
    Signature(
        "context_gate",
        "below",
        SHUT,
        "the context gate is shut (mean {value:.3f}): the modalities seem to agree everywhere, context is not used; "
        "look at the weight of the margin loss and at beta",
        moves="context_gate_spread",
    ),
    Signature(
        "context_gate",
        "above",
        OPEN,
        "the context gate is wide open (mean {value:.3f}): the modalities seem to agree nowhere, context always "
        "comes in whole; look at the weight of the margin loss and at beta",
        moves="context_gate_spread",
    ),
)


def warnings(summary: Mapping[str, float]) -> list[str]:
    """One sentence for each failure signature that fires in a ``Monitor``'s summary.

    The thresholds are rules of thumb: a warning says where to look, not that a result is wrong.
    """
    sentences = []
    for signature in SIGNATURES:
        if signature.moves and summary.get(PREFIX + signature.moves) == 0:
            continue
        for key, value in summary.items():
            name, _, modality = key.removeprefix(PREFIX).partition("/")
            if name == signature.name and signature.fires(value):
                sentences.append(signature.sentence.format(value=value, modality=modality))
    return sentences
