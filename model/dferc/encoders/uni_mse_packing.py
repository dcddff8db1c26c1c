"""What UniMSE reads: each utterance between those before and after it, behind the prompt of the release."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dferc.corpus.batch import Sequences
from dferc.corpus.store import Corpus, Dialogue
from dferc.encoders.words import Words, pad, transcripts

PROMPT = "sst2 sentence:"
"""Before every input [code: data_loader.py]; one of the tasks that T5 was pretrained on."""


@dataclass(frozen=True)
class Windows(Sequences):
    """A sequence an utterance; one of the end mark alone where there is no utterance."""

    current: Tensor
    """[K, L] true at the sub-tokens of the utterance itself."""


class WindowPacker:
    """``prompt, past utterances, the utterance, future utterances, eos``."""

    def __init__(self, words: Words, max_tokens: int, past: int, future: int, speaker_names: bool) -> None:
        """Prepare to pack.

        What is longer than ``max_tokens`` is cut far from the utterance first: each side of it keeps at least half of
        the room that it leaves, and what the other side does not need. Of an utterance too long by itself the end is
        cut.
        """
        self._words = words
        self._prompt = words.ids([PROMPT])[0][: max_tokens // 2]
        self._room = max_tokens - len(self._prompt) - 1
        self._past, self._future, self._names = past, future, speaker_names

    def pack(self, corpus: Corpus, dialogues: Sequence[Dialogue]) -> Windows:
        """The windows of all utterances of these dialogues, in their order."""
        texts = transcripts(corpus, dialogues)
        if self._names:
            texts = [
                [f"{name}: {text}" for name, text in zip(corpus.speakers[d.start : d.stop], said, strict=True)]
                for d, said in zip(dialogues, texts, strict=True)
            ]
        return self.pack_texts(texts)

    def pack_texts(self, texts: Sequence[Sequence[str]]) -> Windows:
        """The windows of dialogues that are given by their transcripts."""
        sequences: list[list[int]] = []
        currents: list[tuple[int, int]] = []
        for dialogue in self._words.dialogues(texts):
            for turn in range(len(dialogue)):
                before, current, after = self._window(dialogue, turn)
                start = len(self._prompt) + len(before)
                currents.append((start, start + len(current)))
                sequences.append([*self._prompt, *before, *current, *after, self._words.special["eos"]])
        special = self._words.special
        padded = pad(sequences or [[special["eos"]]], special["pad"])
        first, end = torch.tensor(currents or [(0, 1)]).unsqueeze(-1).unbind(1)
        place = torch.arange(padded.ids.shape[1])
        return Windows(padded.ids, padded.mask, (place >= first) & (place < end))

    def _window(self, dialogue: Sequence[Sequence[int]], turn: int) -> tuple[list[int], list[int], list[int]]:
        """Sub-tokens before an utterance, of it, after it: as many as there is room for."""
        current = list(dialogue[turn][: self._room])
        before = [word for past in dialogue[max(0, turn - self._past) : turn] for word in past]
        after = [word for future in dialogue[turn + 1 : turn + 1 + self._future] for word in future]
        room = self._room - len(current)
        before = before[max(0, len(before) - max(room // 2, room - len(after))) :]
        return before, current, after[: room - len(before)]
