"""Who speaks, and what they feel.

B dialogues are played side by side for T turns; what lies behind a dialogue's end is cut off at last.
"""

from dataclasses import dataclass

import numpy as np

from dferc.corpus.synthetic.config import EMOTIONS, SyntheticConfig


@dataclass(frozen=True)
class Story:
    """All utterances of all dialogues, in order; every array is [N]."""

    dialogue: np.ndarray
    turn: np.ndarray
    speaker: np.ndarray
    """Number of the character."""
    emotion: np.ndarray
    """What the speaker really feels: an index into ``EMOTIONS``, and the label."""


def tell(config: SyntheticConfig, random: np.random.Generator) -> Story:
    """Play all dialogues."""
    lengths = random.integers(config.shortest, config.longest + 1, size=config.dialogues)
    party = _turn_taking(config, random)
    cast = np.argsort(random.random((config.dialogues, config.characters)), axis=1)[:, : config.most_parties]
    emotion = _emotions(config, random, party, cast)
    speaker = np.take_along_axis(cast, party, axis=1)
    spoken = np.arange(config.longest) < lengths[:, None]
    dialogue, turn = np.nonzero(spoken)
    return Story(dialogue, turn, speaker[spoken], emotion[spoken])


def _turn_taking(config: SyntheticConfig, random: np.random.Generator) -> np.ndarray:
    """Which party [B, T] speaks: the same again, or one of the others."""
    parties = random.integers(2, config.most_parties + 1, size=(config.dialogues, 1))
    changes = random.random((config.dialogues, config.longest)) < config.turn_change
    steps = np.where(changes, random.integers(1, parties, size=changes.shape), 0)
    return np.asarray(steps.cumsum(axis=1) % parties)


def _emotions(config: SyntheticConfig, random: np.random.Generator, party: np.ndarray, cast: np.ndarray) -> np.ndarray:
    """What is felt [B, T]: a speaker keeps the own emotion, catches the last one heard, or follows the own temper."""
    tempers = random.dirichlet(config.temperament * np.asarray(config.prior), size=config.characters)
    state = _moods(random, tempers[cast])
    moves = _moods(random, tempers[np.take_along_axis(cast, party, axis=1)])
    dice = random.random(party.shape)
    everyone = np.arange(len(party))
    emotion = np.empty_like(party)
    heard = state[everyone, party[:, 0]]
    for turn, speaking in enumerate(party.T):
        keeps = dice[:, turn] < config.inertia
        catches = dice[:, turn] < config.inertia + config.contagion
        heard = np.select([keeps, catches], [state[everyone, speaking], heard], moves[:, turn])
        state[everyone, speaking] = emotion[:, turn] = heard
    return emotion


def _moods(random: np.random.Generator, tempers: np.ndarray) -> np.ndarray:
    """One emotion [...] from each temper [..., C]."""
    drawn = random.random((*tempers.shape[:-1], 1)) > tempers.cumsum(axis=-1)
    return np.asarray(drawn.sum(axis=-1).clip(max=len(EMOTIONS) - 1))
