"""What of an emotion reaches each channel: how well the channel works, and which emotion it shows."""

from dataclasses import dataclass

import numpy as np

from dferc.corpus.synthetic.config import MODALITIES, SyntheticConfig

WORKING, FAILING, AMBIGUOUS = (8.0, 2.0), (2.0, 8.0), (1.0, 12.0)
"""Beta distributions of reliability: means 0.80, 0.20 and 0.08."""


@dataclass(frozen=True)
class Expression:
    """The known truth of every utterance; every array is [N]."""

    ambiguous: np.ndarray
    """No channel records this utterance well."""
    conflict: np.ndarray
    """Text shows one emotion, audio and visual another, and all of them clearly."""
    apparent: dict[str, np.ndarray]
    """Modality to the emotion that it shows."""
    reliability: dict[str, np.ndarray]
    """Modality to the share of its vector, 0 to 1, that comes from the display; 0 where the modality is missing."""
    present: dict[str, np.ndarray]
    """Modality to whether the utterance has it."""


def express(config: SyntheticConfig, random: np.random.Generator, emotion: np.ndarray) -> Expression:
    """Draw the truth of each utterance from its emotion [N]."""
    kind = random.random(emotion.shape)
    ambiguous = kind < config.ambiguous
    conflict = (kind >= config.ambiguous) & (kind < config.ambiguous + config.conflict)
    other = _another(config, random, emotion)
    text_misleads = random.random(emotion.shape) < config.text_misleads
    lost = np.where(
        random.random(emotion.shape) < config.missing, random.integers(len(MODALITIES), size=emotion.shape), -1
    )
    apparent, reliability, present = {}, {}, {}
    for number, (name, channel) in enumerate(config.channels.items()):
        misleads = conflict & (text_misleads == (name == "text"))
        fails = (random.random(emotion.shape) < channel.failure) & ~conflict
        quality = np.where(fails, random.beta(*FAILING, emotion.shape), random.beta(*WORKING, emotion.shape))
        quality = np.where(ambiguous, random.beta(*AMBIGUOUS, emotion.shape), quality)
        present[name] = lost != number
        apparent[name] = np.where(misleads, other, emotion)
        reliability[name] = np.where(present[name], quality, 0.0)
    return Expression(ambiguous, conflict, apparent, reliability, present)


def _another(config: SyntheticConfig, random: np.random.Generator, emotion: np.ndarray) -> np.ndarray:
    """An emotion [N] other than the one felt, by the prior: the displays alone do not tell which of the two is felt."""
    share = np.tile(config.prior, (len(emotion), 1))
    share[np.arange(len(emotion)), emotion] = 0.0
    steps = share.cumsum(axis=1)
    return np.asarray((random.random((len(emotion), 1)) * steps[:, -1:] > steps).sum(axis=1))
