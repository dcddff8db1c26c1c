"""From what a channel shows to the vector that an extractor would give."""

import numpy as np

from dferc.corpus.synthetic.config import EMOTIONS, Channel, SyntheticConfig

DISPLAY, SPEAKER, SCENE, MIXED = 6, 4, 6, 64
"""Latent numbers of the display, the speaker and the scene; hidden units of the map that mixes them."""
JUNK = 8
"""Directions of a channel's vector space in which its failures lie."""
DECIMALS = 4
"""Vectors are rounded, so that the last bits of a machine's linear algebra do not reach the fingerprint."""


def record(
    config: SyntheticConfig,
    channel: Channel,
    random: np.random.Generator,
    apparent: np.ndarray,
    reliability: np.ndarray,
    speaker: np.ndarray,
    dialogue: np.ndarray,
) -> np.ndarray:
    """Vectors [N, D]: ``reliability * mixed(display, speaker, scene) + (1 - reliability) * junk + noise``.

    All arrays are [N]. The channel's world (displays, voices, scenes, map, junk) is drawn from ``random`` first.
    """
    displays = random.normal(size=(len(EMOTIONS), config.displays, DISPLAY)) / np.sqrt(DISPLAY)
    voices = config.speaker_offset * random.normal(size=(config.characters, SPEAKER))
    scenes = config.scene * random.normal(size=(config.dialogues, SCENE))
    into = random.normal(size=(DISPLAY + SPEAKER + SCENE, MIXED)) / np.sqrt(DISPLAY + SPEAKER + SCENE)
    out = random.normal(size=(MIXED, channel.width)) / np.sqrt(MIXED)
    blank = random.normal(size=channel.width)
    failures = random.normal(size=(JUNK, channel.width)) / np.sqrt(JUNK)

    count = len(apparent)
    shown = channel.strength * displays[apparent, random.integers(config.displays, size=count)]
    latent = np.concatenate([shown, voices[speaker], scenes[dialogue]], axis=1)
    mixed = np.tanh((latent + random.normal(size=latent.shape)) @ into) @ out
    junk = blank + random.normal(size=(count, JUNK)) @ failures
    noise = config.noise * random.normal(size=mixed.shape)
    share = reliability[:, None]
    vectors = share * mixed / mixed.std() + (1 - share) * junk + noise
    return np.asarray(vectors.round(DECIMALS), dtype=np.float32)
