"""Transcripts as sub-tokens: by the tokenizer of a pretrained model or, where nothing is pretrained, by hashing."""

import re
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch

from dferc.corpus.batch import Sequences
from dferc.corpus.store import Corpus, Dialogue
from dferc.errors import UserError

HASHED = {"pad": 0, "cls": 1, "bos": 1, "sep": 2, "eos": 2, "unk": 3, "mask": 4}
"""Special sub-tokens of hashed words."""
HASHED_VOCABULARY = 8192
"""Numbers that words are hashed to, the special ones included [ours: MELD has about 5,600 words]."""


class Words:
    """Sub-tokens of transcripts, without any special ones; a transcript is tokenised once."""

    def __init__(self, split: Callable[[list[str]], list[list[int]]], special: Mapping[str, int], longest: int) -> None:
        """Prepare to tokenise.

        Args:
            split: texts to their sub-tokens.
            special: name of a special sub-token (``cls``, ``pad``, ``unk`` ...) to its number.
            longest: most sub-tokens of a text; what is longer loses its end.
        """
        self.special = dict(special)
        self.longest = longest
        self._split = split
        self._known: dict[str, list[int]] = {}

    @classmethod
    def pretrained(cls, tokenizer: Any, longest: int, needs: Sequence[str]) -> "Words":
        """Those of a tokenizer of the transformers library.

        What reads like a special token in a transcript is text (``split_special_tokens``).

        Raises:
            UserError: it lacks one of the special sub-tokens in ``needs``.
        """
        found = {name: getattr(tokenizer, f"{name}_token_id", None) for name in HASHED}
        lacking = [f"{name}_token" for name in needs if found[name] is None]
        if lacking:
            raise UserError(f"the tokenizer has no {', '.join(lacking)}: take a model of the kind that is asked for")
        options = {"add_special_tokens": False, "split_special_tokens": True, "verbose": False}

        def split(texts: list[str]) -> list[list[int]]:
            # Cut here, for a tokenizer may have been saved as one that cuts the beginning.
            return [ids[:longest] for ids in tokenizer(texts, **options)["input_ids"]]

        return cls(split, {name: number for name, number in found.items() if number is not None}, longest)

    @classmethod
    def hashed(cls, longest: int) -> "Words":
        """Words and marks in lower case, each hashed to a number: no vocabulary, the same everywhere [ours]."""
        room = HASHED_VOCABULARY - len(set(HASHED.values()))

        def split(texts: list[str]) -> list[list[int]]:
            words = [re.findall(r"\w+|[^\w\s]", text.lower())[:longest] for text in texts]
            return [[HASHED_VOCABULARY - room + zlib.crc32(word.encode()) % room for word in text] for text in words]

        return cls(split, HASHED, longest)

    def ids(self, texts: Iterable[str]) -> list[list[int]]:
        """Sub-tokens of each text; one ``unk`` where there is none."""
        texts = list(texts)
        new = sorted(set(texts) - self._known.keys())
        if new:
            nothing = [self.special["unk"]]
            self._known |= {text: ids or nothing for text, ids in zip(new, self._split(new), strict=True)}
        return [self._known[text] for text in texts]

    def dialogues(self, texts: Sequence[Sequence[str]]) -> list[list[list[int]]]:
        """Sub-tokens of each utterance of each dialogue."""
        self.ids(text for dialogue in texts for text in dialogue)  # all at once, which is faster
        return [self.ids(dialogue) for dialogue in texts]


def pad(sequences: Sequence[Sequence[int]], padding: int) -> Sequences:
    """Sequences of sub-tokens side by side, filled up with padding behind their ends; none gives one that is empty."""
    lengths = torch.tensor([len(sequence) for sequence in sequences] or [0])
    length = max(1, int(lengths.max()))
    filled = [[*sequence, *[padding] * (length - len(sequence))] for sequence in sequences] or [[padding]]
    return Sequences(torch.tensor(filled), torch.arange(length) < lengths.unsqueeze(1))


def transcripts(corpus: Corpus, dialogues: Sequence[Dialogue]) -> list[list[str]]:
    """Those of each dialogue, in its order.

    Raises:
        UserError: the corpus has none at all.
    """
    if not any(corpus.texts):
        raise UserError(f"corpus {corpus.card.name} has no transcripts, which this model reads")
    return [corpus.texts[dialogue.start : dialogue.stop] for dialogue in dialogues]
