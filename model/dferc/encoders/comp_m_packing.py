"""What CoMPM reads: the conversation up to each utterance, and what its speaker said before [code: utils.py].

A conversation is the text ``<s1> first turn <s2> second turn ...``, speakers numbered as they first appear in it, with
nothing between the turns. Each turn is given to the tokenizer by itself, with the space before it, which gives the same
sub-tokens as the whole text does wherever words do not reach over a space.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dferc.corpus.batch import Sequences, Tokens
from dferc.corpus.store import Corpus, Dialogue
from dferc.encoders.words import Words, pad, transcripts


@dataclass(frozen=True)
class MemoryTokens(Tokens):
    """Conversations, and R remembered utterances that stand in S tracks of at most Q steps."""

    context: Sequences
    """[N, L] ``cls`` and everything said up to and including each utterance."""
    memories: Sequences
    """[R, L] ``cls`` and an utterance that somebody may remember."""
    tracks: Tensor
    """[S, Q] which of the R are remembered, in the order in which they were said; R behind a track's end."""
    latest: Tensor
    """[N] the step, in the flattened S x Q, of the last one that each utterance's speaker remembers; S x Q for none."""


class MemoryPacker:
    """Packs conversations from the end back, as far as they fit, and memories.

    A remembered utterance is one row for all who remember it, and a party is one track: a recurrence over what a party
    said passes through the memory of each of its utterances. The released padding depends on who remembers, so there
    every utterance has rows and a track of its own.
    """

    def __init__(self, words: Words, max_tokens: int, over_padding: bool = False) -> None:
        """Prepare to pack.

        Args:
            words: sub-tokens of texts.
            max_tokens: most sub-tokens of a sequence; of what is longer the end is kept [code: encode_right_truncated].
            over_padding: fill the memories of an utterance to the longest of them with padding that counts as real.
        """
        self._words = words
        self._room = max_tokens - 1
        self._over_padding = over_padding

    def pack(self, corpus: Corpus, dialogues: Sequence[Dialogue]) -> MemoryTokens:
        """The sequences of these dialogues."""
        parties = [corpus.parties[dialogue.start : dialogue.stop].tolist() for dialogue in dialogues]
        return self.pack_texts(transcripts(corpus, dialogues), parties)

    def pack_texts(self, texts: Sequence[Sequence[str]], parties: Sequence[Sequence[int]]) -> MemoryTokens:
        """The sequences of dialogues that are given by their transcripts and the party of each utterance.

        No dialogue at all gives one sequence of each kind, and no place in them.
        """
        contexts: list[list[int]] = []
        memories: list[list[int]] = []
        tracks: list[list[int]] = []
        steps: dict[int, tuple[int, int]] = {}
        for dialogue, who in zip(texts, parties, strict=True):
            said = [self._row(words) for words in self._words.ids(dialogue)]
            for track, reached in remembered(who, shared=not self._over_padding):
                steps |= {len(contexts) + turn: (len(tracks), step) for turn, step in reached.items()}
                tracks.append(list(range(len(memories), len(memories) + len(track))))
                memories.extend(self._filled([said[turn] for turn in track]))
            contexts.extend(self._contexts(dialogue, who))
        padding, nothing = self._words.special["pad"], [self._row([])]
        held = pad(memories or nothing, padding)
        laid = pad(tracks, len(held.ids)).ids
        places = [steps.get(utterance) for utterance in range(len(contexts))]
        latest = [laid.numel() if place is None else place[0] * laid.shape[1] + place[1] for place in places]
        return MemoryTokens(pad(contexts or nothing, padding), held, laid, torch.tensor(latest, dtype=torch.long))

    def _row(self, words: list[int]) -> list[int]:
        return [self._words.special["cls"], *words[-self._room :]]

    def _filled(self, rows: list[list[int]]) -> list[list[int]]:
        if not self._over_padding:
            return rows
        longest, padding = max(map(len, rows)), self._words.special["pad"]
        return [row + [padding] * (longest - len(row)) for row in rows]

    def _contexts(self, dialogue: Sequence[str], who: Sequence[int]) -> Iterator[list[int]]:
        turns = [f" <s{party + 1}> {text}" for party, text in zip(who, dialogue, strict=True)]
        so_far: list[int] = []
        for words in self._words.ids([turns[0].lstrip(), *turns[1:]]):
            so_far.extend(words)
            yield self._row(so_far)


def remembered(parties: Sequence[int], shared: bool) -> Iterator[tuple[list[int], dict[int, int]]]:
    """Turns that are remembered in a row, and the turns that remember: up to which step of them.

    Args:
        parties: who says each turn of a dialogue.
        shared: one row a party, instead of one for each turn that remembers.
    """
    for party in dict.fromkeys(parties):
        own = [turn for turn, speaker in enumerate(parties) if speaker == party]
        if shared and len(own) > 1:
            yield own[:-1], {turn: step for step, turn in enumerate(own[1:])}
        elif not shared:
            yield from ((own[:count], {own[count]: count - 1}) for count in range(1, len(own)))
