"""A pretrained transformer over whole dialogues, trained end to end.

The utterances of a dialogue are tokenised one by one, concatenated and packed greedily into blocks, so that each sees
its neighbours; its vector is the mean of the last layer's states at its first and its last sub-token. The released code
of DF-ERC does the same.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from dferc.corpus.batch import TokenBlocks
from dferc.corpus.store import Corpus, Dialogue
from dferc.encoders.loading import load_encoder, recompute
from dferc.encoders.words import Words, pad, transcripts
from dferc.errors import UserError

MARKERS = 2
"""Sub-tokens of a block that belong to no utterance: one at its begin, one at its end."""


class TextPacker:
    """Packs the transcripts of dialogues into blocks of sub-tokens."""

    def __init__(self, tokenizer: Any, max_tokens: int) -> None:
        """Prepare to pack.

        Args:
            tokenizer: of the transformers library.
            max_tokens: most sub-tokens of a block, its two markers included.

        Raises:
            UserError: the tokenizer lacks a special token that blocks are made with, or no utterance fits into a block.
        """
        self.room = max_tokens - MARKERS
        self._words = Words.pretrained(tokenizer, self.room, ("cls", "sep", "unk", "pad"))
        if self.room < 1:
            raise UserError(
                f"max_tokens = {max_tokens} leaves no room for text: a block has {MARKERS} markers of its own"
            )

    def pack(self, corpus: Corpus, dialogues: Sequence[Dialogue]) -> TokenBlocks:
        """The blocks of these dialogues, each of one dialogue only; no dialogue at all gives one block without text."""
        return self.pack_texts(transcripts(corpus, dialogues))

    def pack_texts(self, texts: Sequence[Sequence[str]]) -> TokenBlocks:
        """The blocks of dialogues that are given by their transcripts."""
        blocks: list[list[int]] = []
        spans: list[tuple[int, int, int]] = []
        for dialogue in self._words.dialogues(texts):
            blocks.append([])
            for tokens in dialogue:
                if len(blocks[-1]) + len(tokens) > self.room:
                    blocks.append([])
                begin = len(blocks[-1])
                blocks[-1].extend(tokens)
                spans.append((len(blocks) - 1, begin, len(blocks[-1]) - 1))
        return self._tensors(blocks or [[]], spans)

    def _tensors(self, blocks: list[list[int]], spans: list[tuple[int, int, int]]) -> TokenBlocks:
        special = self._words.special
        padded = pad([[special["cls"], *block, special["sep"]] for block in blocks], special["pad"])
        block, first, last = torch.tensor(spans, dtype=torch.long).reshape(-1, 3).unbind(1)
        begin = block * padded.ids.shape[1] + 1
        return TokenBlocks(padded.ids, padded.mask, first=begin + first, last=begin + last)


class TextEncoder(nn.Module):
    """A pretrained transformer encoder and its tokenizer."""

    def __init__(self, source: str, max_tokens: int = 512, gradient_checkpointing: bool = False) -> None:
        """Load the encoder.

        Args:
            source: a folder, or a model's name on the Hugging Face hub, with weights in safetensors.
            max_tokens: most sub-tokens of a block [code: 512].
            gradient_checkpointing: compute states again in the backward pass: less memory, about a third more time.

        Raises:
            UserError: it cannot be loaded, lacks weights, or cannot take blocks this long.
        """
        super().__init__()
        tokenizer, self.transformer = load_encoder(source, max_tokens)
        self._packer = TextPacker(tokenizer, max_tokens)
        if gradient_checkpointing:
            recompute(self.transformer)

    @property
    def width(self) -> int:
        """Numbers in an utterance's vector."""
        return int(self.transformer.config.hidden_size)

    def packer(self) -> TextPacker:
        """What makes this encoder's input; the same at every call, so that it remembers what it tokenised."""
        return self._packer

    def forward(self, blocks: TokenBlocks) -> Tensor:
        """Utterance vectors [N, D]."""
        states: Tensor = self.transformer(input_ids=blocks.ids, attention_mask=blocks.mask.long()).last_hidden_state
        flat = states.flatten(0, 1)
        return 0.5 * (flat.index_select(0, blocks.first) + flat.index_select(0, blocks.last))
