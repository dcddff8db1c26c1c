"""The only thing that a model sees.

Legend of the shapes used in every docstring of this package
    B dialogues in the batch      T utterances of the longest one        N real utterances in the batch (of B x T)
    M modalities in use           D width of a modality's vectors        H hidden width      C emotion classes
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from dferc.corpus.lanes import Lanes
from dferc.corpus.store import Corpus, Dialogue

NO_LABEL = -1
TEXT = "text"


class Tokens:
    """Transcripts as one model reads them: base of dataclasses that hold tensors, and other tokens."""


@dataclass(frozen=True)
class Sequences(Tokens):
    """K sequences of at most L sub-tokens."""

    ids: Tensor
    """[K, L] sub-token ids."""
    mask: Tensor
    """[K, L] true at real sub-tokens; what lies elsewhere must change nothing."""


@dataclass(frozen=True)
class MarkedSequences(Sequences):
    """Sequences in which one sub-token stands for each utterance."""

    at: Tensor
    """[N] place of each utterance's sub-token in the flattened K x L."""

    def pick(self, states: Tensor) -> Tensor:
        """States [K, L, H] of all sub-tokens -> [N, H]: those of the utterances' own."""
        return states.flatten(0, 1).index_select(0, self.at)


@dataclass(frozen=True)
class TokenBlocks(Sequences):
    """Whole dialogues packed into blocks of K x L sub-tokens."""

    first: Tensor
    """[N] place of each utterance's first sub-token in the flattened K x L."""
    last: Tensor
    """[N] place of its last sub-token."""


@dataclass(frozen=True)
class DialogueBatch:
    """Padded dialogues; what lies behind a dialogue's end is zero and masked, and must change nothing."""

    features: dict[str, Tensor]
    """Modality to vectors [B, T, D]."""
    present: dict[str, Tensor]
    """Modality to [B, T], true where the utterance exists and has it."""
    mask: Tensor
    """[B, T] true at real utterances."""
    valid: Tensor
    """[N] places of the real utterances in the flattened B x T; kept, so that picking them waits for no device."""
    lengths: Tensor
    """[B] utterances of each dialogue."""
    labels: Tensor
    """[B, T] class of each utterance, -1 where there is none."""
    speakers: Tensor
    """[B, T] party of each utterance: numbers by first appearance inside the dialogue, no identities."""
    rows: Tensor
    """[B, T] row of each utterance in the corpus table, -1 at padding."""
    lanes: Lanes
    """The same utterances, packed for recurrent layers."""
    tokens: Tokens | None = field(default=None)
    """The transcripts, where the model reads them itself: what its packer made."""
    parties: int | None = field(default=None)
    """Most parties of a dialogue; kept, so that counting them waits for no device. None where nobody counted."""

    def to(self, device: torch.device | str) -> "DialogueBatch":
        """The same batch on another device."""
        moved: dict[str, Any] = {f.name: _moved(getattr(self, f.name), device) for f in fields(self)}
        return replace(self, **moved)

    def flat(self, padded: Tensor) -> Tensor:
        """[B, T, ...] -> [N, ...]: the real utterances only."""
        return padded.flatten(0, 1).index_select(0, self.valid)

    def padded(self, flat: Tensor) -> Tensor:
        """[N, ...] -> [B, T, ...]: zeros at padding."""
        batch, turns = self.mask.shape
        empty = flat.new_zeros(batch * turns, *flat.shape[1:])
        return empty.index_copy(0, self.valid, flat).reshape(batch, turns, *flat.shape[1:])

    @property
    def dialogue(self) -> Tensor:
        """[N] which of the B dialogues each utterance belongs to."""
        return self.valid // self.mask.shape[1]


class Packer(Protocol):
    """Turns the transcripts of dialogues into the sub-tokens that a model reads."""

    def pack(self, corpus: Corpus, dialogues: Sequence[Dialogue]) -> Tokens:
        """Those of these dialogues, in their order; of no dialogue at all something that the model can still read."""


def collate(
    corpus: Corpus, dialogues: Sequence[Dialogue], modalities: Sequence[str], packer: Packer | None = None
) -> DialogueBatch:
    """Pad dialogues into one batch; no dialogue at all gives one empty row, so that an idle worker can keep step.

    With a packer the text comes as sub-tokens instead of vectors.
    """
    turns = max((len(d) for d in dialogues), default=1)
    rows = np.full((max(len(dialogues), 1), turns), -1, dtype=np.int64)
    for i, dialogue in enumerate(dialogues):
        rows[i, : len(dialogue)] = np.arange(dialogue.start, dialogue.stop)
    mask = rows >= 0
    at = rows[mask]
    features, present = {}, {}
    for name in modalities:
        if packer is not None and name == TEXT:
            continue
        has = np.zeros(rows.shape, dtype=bool)
        has[mask] = corpus.present(name)[at]
        vectors = np.zeros((*rows.shape, corpus.card.widths[name]), dtype=np.float32)
        vectors[has] = corpus.features(name)[rows[has]]
        features[name], present[name] = torch.from_numpy(vectors), torch.from_numpy(has)
    labels = np.full(rows.shape, NO_LABEL, dtype=np.int64)
    labels[mask] = corpus.labels[at]
    speakers = np.zeros(rows.shape, dtype=np.int64)
    speakers[mask] = corpus.parties[at]
    return DialogueBatch(
        features=features,
        present=present,
        mask=torch.from_numpy(mask),
        valid=torch.from_numpy(np.flatnonzero(mask)),
        lengths=torch.from_numpy(mask.sum(1)),
        labels=torch.from_numpy(labels),
        speakers=torch.from_numpy(speakers),
        rows=torch.from_numpy(rows),
        lanes=Lanes.of([len(dialogue) for dialogue in dialogues]),
        tokens=None if packer is None else packer.pack(corpus, dialogues),
        parties=int(speakers.max()) + 1,
    )


def _moved(value: object, device: torch.device | str) -> object:
    if isinstance(value, Tensor):
        return value.to(device, non_blocking=True)
    if isinstance(value, dict):
        return {name: _moved(item, device) for name, item in value.items()}
    if isinstance(value, Tokens | Lanes):
        return replace(value, **{f.name: _moved(getattr(value, f.name), device) for f in fields(value)})  # type: ignore[type-var, arg-type]
    return value
