"""A pretrained transformer over whole dialogues, trained end to end.

The utterances of a dialogue are tokenised one by one, concatenated and packed greedily into blocks, so that each sees
its neighbours; its vector is the mean of the last layer's states at its first and its last sub-token. The released code
of DF-ERC does the same.
"""

import re
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModel, AutoTokenizer

from dferc.corpus.batch import TokenBlocks
from dferc.corpus.store import Corpus, Dialogue
from dferc.errors import UserError

MARKERS = 2
"""Sub-tokens of a block that belong to no utterance: one at its begin, one at its end."""
SPECIAL = ("cls_token_id", "sep_token_id", "unk_token_id", "pad_token_id")


class TextPacker:
    """Packs the transcripts of dialogues into blocks of sub-tokens; a transcript is tokenised once."""

    def __init__(self, tokenizer: Any, max_tokens: int) -> None:
        """Prepare to pack.

        Args:
            tokenizer: of the transformers library.
            max_tokens: most sub-tokens of a block, its two markers included.

        Raises:
            UserError: the tokenizer lacks a special token that blocks are made with, or no utterance fits into a block.
        """
        lacking = [name.removesuffix("_id") for name in SPECIAL if getattr(tokenizer, name) is None]
        if lacking:
            raise UserError(
                f"the tokenizer has no {', '.join(lacking)}: take an encoder of the kind of BERT or RoBERTa"
            )
        if max_tokens <= MARKERS:
            raise UserError(
                f"max_tokens = {max_tokens} leaves no room for text: a block has {MARKERS} markers of its own"
            )
        self.room = max_tokens - MARKERS
        self._tokenizer = tokenizer
        self._tokenised: dict[str, list[int]] = {}

    def pack(self, corpus: Corpus, dialogues: Sequence[Dialogue]) -> TokenBlocks:
        """The blocks of these dialogues, each of one dialogue only; no dialogue at all gives one block without text."""
        return self.pack_texts([corpus.texts[dialogue.start : dialogue.stop] for dialogue in dialogues])

    def pack_texts(self, texts: Sequence[Sequence[str]]) -> TokenBlocks:
        """The blocks of dialogues that are given by their transcripts."""
        self._tokenise({text for dialogue in texts for text in dialogue})
        blocks: list[list[int]] = []
        spans: list[tuple[int, int, int]] = []
        for dialogue in texts:
            blocks.append([])
            for text in dialogue:
                tokens = self._tokenised[text]
                if len(blocks[-1]) + len(tokens) > self.room:
                    blocks.append([])
                begin = len(blocks[-1])
                blocks[-1].extend(tokens)
                spans.append((len(blocks) - 1, begin, len(blocks[-1]) - 1))
        return self._tensors(blocks or [[]], spans)

    def _tokenise(self, texts: set[str]) -> None:
        """Remember the sub-tokens of texts not seen before, cut to what a block holds; one ``unk`` where there is none.

        What reads like a special token in a transcript is text (``split_special_tokens``).
        """
        new = sorted(texts - self._tokenised.keys())
        if new:
            options = {"add_special_tokens": False, "truncation": True, "max_length": self.room}
            ids = self._tokenizer(new, split_special_tokens=True, **options)["input_ids"]
            nothing = [self._tokenizer.unk_token_id]
            self._tokenised |= {text: tokens or nothing for text, tokens in zip(new, ids, strict=True)}

    def _tensors(self, blocks: list[list[int]], spans: list[tuple[int, int, int]]) -> TokenBlocks:
        begin, end, padding = (
            getattr(self._tokenizer, name) for name in ("cls_token_id", "sep_token_id", "pad_token_id")
        )
        length = max(map(len, blocks)) + MARKERS
        lengths = torch.tensor([len(block) + MARKERS for block in blocks])
        padded = [[begin, *block, end] + [padding] * (length - MARKERS - len(block)) for block in blocks]
        block, first, last = torch.tensor(spans, dtype=torch.long).reshape(-1, 3).unbind(1)
        return TokenBlocks(
            ids=torch.tensor(padded),
            mask=torch.arange(length) < lengths.unsqueeze(1),
            first=block * length + 1 + first,
            last=block * length + 1 + last,
        )


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
            self.transformer.activation_checkpointing_enable()

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


def load_encoder(source: str, max_tokens: int) -> tuple[Any, Any]:
    """Tokenizer and model of the transformers library, without a pooling layer: nothing would ever train it.

    Raises:
        UserError: it cannot be loaded, lacks weights, or cannot take this many sub-tokens at once.
    """
    try:
        model, report = AutoModel.from_pretrained(
            source, trust_remote_code=False, use_safetensors=True, dtype=torch.float32, output_loading_info=True
        )
        tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
    except Exception as error:  # each library below raises kinds of its own
        reason = re.split(r"\.\s", str(error) or type(error).__name__)[0].rstrip(".")
        raise UserError(
            f"the text encoder {source!r} cannot be loaded ({reason}): give a folder with config.json, "
            f"tokenizer.json and model.safetensors, or the name of a model that can be downloaded from here"
        ) from None
    absent = sorted(name for name in report["missing_keys"] if not name.startswith("pooler."))
    if absent:
        raise UserError(
            f"the weights of the text encoder {source!r} are not whole: "
            f"{len(absent)} tensors are missing, the first is {absent[0]}"
        )
    if getattr(model, "pooler", None) is not None:
        model.pooler = None
    room = _positions(model)
    if room is not None and max_tokens > room:
        raise UserError(f"max_tokens = {max_tokens} is more than the {room} positions that {source!r} has")
    return tokenizer, model


def _positions(model: Any) -> int | None:
    """Sub-tokens for which the model has learned absolute positions; None where it has no such limit."""
    table = getattr(getattr(model, "embeddings", None), "position_embeddings", None)
    if not isinstance(table, nn.Embedding):
        return None
    reserved = (
        0 if table.padding_idx is None else table.padding_idx + 1
    )  # RoBERTa counts from behind the padding's place
    return table.num_embeddings - reserved
