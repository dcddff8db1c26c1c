"""Whole dialogues as sequences of sub-tokens, each turn behind a marker of its own [code: HiTrans, dataset.py]."""

from collections.abc import Sequence

import torch

from dferc.corpus.batch import MarkedSequences
from dferc.corpus.store import Corpus, Dialogue
from dferc.encoders.words import Words, pad, transcripts


class DialoguePacker:
    """``[cls] u1 [cls] u2 ... [sep]``, in sequences of at most ``max_tokens``; no turn is torn between two of them."""

    def __init__(self, words: Words, max_tokens: int) -> None:
        """Prepare to pack; a turn of more than ``max_tokens`` with its marker is cut."""
        self._words = words
        self._length = max_tokens

    def pack(self, corpus: Corpus, dialogues: Sequence[Dialogue]) -> MarkedSequences:
        """The sequences of these dialogues, marked at each turn's ``cls``."""
        return self.pack_texts(transcripts(corpus, dialogues))

    def pack_texts(self, texts: Sequence[Sequence[str]]) -> MarkedSequences:
        """The sequences of dialogues that are given by their transcripts; none at all gives one of a ``sep`` alone."""
        special = self._words.special
        sequences: list[list[int]] = []
        marked: list[tuple[int, int]] = []
        for dialogue in self._words.dialogues(texts):
            sequences.append([])
            for words in dialogue:
                turn = [special["cls"], *words][: self._length]
                if len(sequences[-1]) + len(turn) > self._length:
                    sequences.append([])
                marked.append((len(sequences) - 1, len(sequences[-1])))
                sequences[-1].extend(turn)
            if len(sequences[-1]) < self._length:
                sequences[-1].append(special["sep"])
        padded = pad(sequences or [[special["sep"]]], special["pad"])
        sequence, place = torch.tensor(marked, dtype=torch.long).reshape(-1, 2).unbind(1)
        return MarkedSequences(padded.ids, padded.mask, sequence * padded.ids.shape[1] + place)
