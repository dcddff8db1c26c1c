"""Every utterance as a sequence of its own, for models that read each one alone [code: SKAIG, TODKAT]."""

from collections.abc import Sequence

import torch

from dferc.corpus.batch import MarkedSequences
from dferc.corpus.store import Corpus, Dialogue
from dferc.encoders.words import Words, pad, transcripts


class UtterancePacker:
    """``[cls] u [sep]``, one sequence an utterance, marked at its ``cls``."""

    def __init__(self, words: Words, max_tokens: int) -> None:
        """Prepare to pack; an utterance of more than ``max_tokens`` with its two markers is cut."""
        self._words = words
        self._room = max_tokens - 2

    def pack(self, corpus: Corpus, dialogues: Sequence[Dialogue]) -> MarkedSequences:
        """The sequences of all utterances of these dialogues."""
        return self.pack_texts(transcripts(corpus, dialogues))

    def pack_texts(self, texts: Sequence[Sequence[str]]) -> MarkedSequences:
        """Those of dialogues given by their transcripts; no utterance at all gives one sequence without text."""
        special = self._words.special
        utterances = [words[: self._room] for dialogue in self._words.dialogues(texts) for words in dialogue]
        sequences = [[special["cls"], *words, special["sep"]] for words in utterances or [[]]]
        padded = pad(sequences, special["pad"])
        at = torch.arange(len(utterances)) * padded.ids.shape[1]
        return MarkedSequences(padded.ids, padded.mask, at)
