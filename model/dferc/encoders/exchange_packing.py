"""Each utterance as a sequence of its own, beside the one that answers it [code: CoG-BART, data_process.py]."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dferc.corpus.batch import Sequences
from dferc.corpus.store import Corpus, Dialogue
from dferc.encoders.words import Words, pad, transcripts

END = "end"
"""What answers the last utterance of a dialogue [code]."""


@dataclass(frozen=True)
class Exchanges(Sequences):
    """N utterances, a sequence each, and what is said next."""

    answers: Tensor
    """[N, A] sub-tokens of the next utterance."""
    counted: Tensor
    """[R] those that a generation loss counts: places in the flattened N x A."""


class ExchangePacker:
    """``[bos] NAME : TEXT [eos]`` for each utterance."""

    def __init__(self, words: Words, max_tokens: int, speaker_names: bool, count_padding: bool) -> None:
        """Prepare to pack.

        Args:
            words: what makes sub-tokens of texts.
            max_tokens: of a sequence; the end of a text that is longer is cut.
            speaker_names: write the speaker's name before the text.
            count_padding: fill answers up to ``max_tokens``, and count what they are filled with.
        """
        self._words = words
        self._length = max_tokens
        self._speaker_names = speaker_names
        self._count_padding = count_padding

    def pack(self, corpus: Corpus, dialogues: Sequence[Dialogue]) -> Exchanges:
        """The exchanges of these dialogues; of no dialogue one sequence without a word, which nobody counts."""
        said, answers = [], []
        for dialogue, texts in zip(dialogues, transcripts(corpus, dialogues), strict=True):
            speakers = corpus.speakers[dialogue.start : dialogue.stop]
            named = [f"{speaker} : {text}" for speaker, text in zip(speakers, texts, strict=True)]
            turns = named if self._speaker_names else texts
            said += turns
            answers += [*turns[1:], END]
        pad_number = self._words.special["pad"]
        heard = pad(self._sequences(said) or [self._framed([])], pad_number)
        replies = pad(self._sequences(answers) or [self._framed([])], pad_number)
        ids, counted = replies.ids, replies.mask
        if self._count_padding:
            ids = torch.nn.functional.pad(ids, (0, self._length - ids.shape[1]), value=pad_number)
            counted = torch.ones_like(ids, dtype=torch.bool)
        return Exchanges(heard.ids, heard.mask, ids, counted[: len(said)].flatten().nonzero().flatten())

    def _sequences(self, texts: list[str]) -> list[list[int]]:
        return [self._framed(words) for words in self._words.ids(texts)]

    def _framed(self, words: list[int]) -> list[int]:
        return [self._words.special["bos"], *words[: self._length - 2], self._words.special["eos"]]
