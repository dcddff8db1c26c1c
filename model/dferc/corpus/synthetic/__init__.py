"""Conversations whose truth is known: the corpus that every installation can make for itself.

The generative story
    A few characters meet in dialogues of two or three. Whoever speaks stays in the own last emotion (*inertia*),
    catches the emotion of the utterance before (*contagion*), or moves to one that fits the own temper; most of
    what is felt is neutral. The felt emotion is the label.

    Each utterance is shown in three channels: text, audio and visual. A display is one of a few prototypes of the
    emotion in a small latent space; beside it lie the speaker's own manner, the scene of the dialogue and noise. A
    fixed random map with one tanh layer, of which a model is told nothing, turns these latents into the channel's
    vector. Channels fail: with *reliability* r in [0, 1] a vector is r parts of that and 1 - r parts of junk, which
    lies in directions of its own, as what a lost face track or clipped sound leaves does; so the vector itself
    betrays how far to trust it.

    In *ambiguous* utterances every channel fails: only the utterances before and after say what is felt. In
    *conflicts* all channels work, but the text shows one emotion, and voice and face another. Half the time the
    text misleads (sarcasm), half the time voice and face do (a mask), and the wrong emotion is drawn so that the
    displays alone do not tell which of the two is felt: context decides. Some utterances lack a modality.

What this is for, and what not
    Reliability, ambiguity and conflict are kept in ``truth.*``, where no model sees them, so that mechanisms that
    claim to estimate them can be held against them. The story knows no model's equations: context helps every model
    that reads neighbours, weighting helps every model that notices junk. Real corpora are messier; a score here
    says that a mechanism does what it claims, not how well it recognises people's emotions.
    The default strengths and shares were settled while DF-ERC was watched on seed 0: for a claim, take another seed.
"""

import hashlib
from pathlib import Path

import numpy as np
import pyarrow as pa

from dferc.corpus.contract import SPLITS, CorpusCard, Modality, corpus_schema, vector_array
from dferc.corpus.store import Corpus, cache_folder
from dferc.corpus.synthetic.channels import record
from dferc.corpus.synthetic.config import EMOTIONS, MODALITIES, Channel, SyntheticConfig
from dferc.corpus.synthetic.expression import Expression, express
from dferc.corpus.synthetic.story import Story, tell
from dferc.corpus.synthetic.texts import write

__all__ = ["EMOTIONS", "MODALITIES", "TINY", "Channel", "SyntheticConfig", "default_path", "generate"]

VERSION = 1
"""Of the generative story; to be raised with every change of what a config makes."""
TINY = SyntheticConfig(
    train_dialogues=16, validation_dialogues=6, test_dialogues=6, shortest=3, longest=9, characters=6
)
"""Small enough for a test."""
TRUTH = {"ambiguous": pa.bool_(), "conflict": pa.bool_()} | {f"reliability.{name}": pa.float32() for name in MODALITIES}


def generate(config: SyntheticConfig | None = None) -> Corpus:
    """The corpus of a config, always the same."""
    config = config or SyntheticConfig()
    # One stream a part, so that a knob of one part leaves what the others draw as it was.
    streams = [
        np.random.default_rng(s) for s in np.random.SeedSequence((VERSION, config.seed)).spawn(3 + len(MODALITIES))
    ]
    story = tell(config, streams[0])
    expression = express(config, streams[1], story.emotion)
    shown = [EMOTIONS[emotion] for emotion in expression.apparent["text"]]
    texts = np.array(write(streams[2], shown, expression.reliability["text"]), dtype=object)
    columns = _who_said_what(config, story, np.where(expression.present["text"], texts, np.array(None)))
    for (name, channel), random in zip(config.channels.items(), streams[3:], strict=True):
        vectors = record(
            config,
            channel,
            random,
            expression.apparent[name],
            expression.reliability[name],
            story.speaker,
            story.dialogue,
        )
        columns.append(vector_array(vectors, expression.present[name]))
    columns += _truth(expression)
    return Corpus.from_table(
        pa.Table.from_arrays(columns, schema=corpus_schema(_card(config), TRUTH)), "the synthetic corpus"
    )


def default_path() -> Path:
    """The corpus of the default config, made in the cache folder the first time."""
    config = SyntheticConfig()
    path = cache_folder() / f"synthetic-{_key(config)}.parquet"
    return path if path.is_file() else generate(config).save(path)


def _key(config: SyntheticConfig) -> str:
    return hashlib.sha256(f"{VERSION}|{config.model_dump_json()}".encode()).hexdigest()[:16]


def _card(config: SyntheticConfig) -> CorpusCard:
    return CorpusCard(
        name="synthetic",
        labels=EMOTIONS,
        modalities={
            name: Modality(width=channel.width, extractor=f"dferc.corpus.synthetic version {VERSION}")
            for name, channel in config.channels.items()
        },
        source=f"dferc.corpus.synthetic version {VERSION} with {config.model_dump_json(exclude_defaults=True)}",
        licence="CC0-1.0",
        split_note="the first dialogues are train, the next validation, the last test; one cast plays in all",
    )


def _who_said_what(config: SyntheticConfig, story: Story, texts: np.ndarray) -> list[pa.Array]:
    split_of = np.repeat(SPLITS, (config.train_dialogues, config.validation_dialogues, config.test_dialogues))
    return [
        pa.array([f"dialogue-{number:05d}" for number in story.dialogue]),
        pa.array(story.turn, pa.int32()),
        pa.array([f"character-{number:02d}" for number in story.speaker]),
        pa.array(story.emotion, pa.int32()),
        pa.array(split_of[story.dialogue].tolist()),
        pa.array(texts.tolist(), pa.string()),
    ]


def _truth(expression: Expression) -> list[pa.Array]:
    reliability = [pa.array(expression.reliability[name], pa.float32()) for name in MODALITIES]
    return [pa.array(expression.ambiguous), pa.array(expression.conflict), *reliability]
