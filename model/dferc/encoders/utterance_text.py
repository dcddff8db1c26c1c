"""Transcripts as vectors of a pretrained transformer that is not trained: one vector an utterance."""

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import transformers
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor

from dferc.corpus.batch import TokenBlocks
from dferc.corpus.contract import Modality
from dferc.corpus.recordings import RecordedUtterance
from dferc.encoders.extractor import Extracted
from dferc.encoders.text import TextPacker, load_encoder

ROUND = 16
"""Sub-tokens to whose multiple blocks are padded."""


class TextExtraction(BaseModel):
    """How transcripts become vectors. COSMIC: Ghosal et al., Findings of EMNLP 2020, arXiv 2010.02795."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str = Field(
        default="roberta-large",
        description="folder with safetensors, or name on the Hugging Face hub, of an encoder of the kind of BERT or "
        "RoBERTa [COSMIC and its followers, and DF-ERC: roberta-large]",
    )
    context: Literal["none", "dialogue"] = Field(
        default="none",
        description="what an utterance sees: `none`, itself [COSMIC]; `dialogue`, its neighbours in one block [DF-ERC]",
    )
    pooling: Literal["first", "mean", "ends"] = Field(
        default="first",
        description="`first`, the state of the block's first token [COSMIC]; `mean` of all [sentence-transformers], or "
        "of the utterance's own where it has neighbours; `ends`, mean of its first and last sub-token [DF-ERC]",
    )
    layer: Literal[-1, -2, -3, -4] = Field(
        default=-1, description="whose states, counted from the last [COSMIC gives these four]"
    )
    normalise: bool = Field(default=False, description="bring vectors to length 1 [sentence-transformers: on]")
    max_tokens: int = Field(default=512, ge=3, description="most sub-tokens of a block, with two markers [DF-ERC: 512]")
    batch: int = Field(default=16, ge=1, description="blocks that go through the encoder at once [ours]")

    @model_validator(mode="after")
    def _utterances_have_tokens_of_their_own(self) -> "TextExtraction":
        if self.context == "dialogue" and self.pooling == "first":
            raise ValueError("pooling `first` is one token for all utterances of a dialogue: take `ends` or `mean`")
        return self


class TextExtractor:
    """A frozen transformer over transcripts."""

    def __init__(self, config: TextExtraction, device: str = "cpu") -> None:
        """Load encoder and tokenizer.

        Raises:
            UserError: they cannot be loaded, lack weights, or cannot take blocks this long.
        """
        self._config, self._device = config, device
        self._tokenizer, encoder = load_encoder(config.source, config.max_tokens)
        TextPacker(self._tokenizer, config.max_tokens)  # refuses tokenizers without markers now, not at a dialogue
        self._encoder = encoder.to(device).eval()
        self._modality = Modality(
            width=int(encoder.config.hidden_size),
            extractor=f"{encoder.config.model_type}, transformers {transformers.__version__}",
            parameters=config.model_dump(exclude={"source", "batch"}),
            weights=tensors_sha256(encoder.state_dict()),
            hub=None if Path(config.source).exists() else config.source,
        )

    def described(self) -> Modality:
        """Encoder, settings, hash of the encoder's tensors."""
        return self._modality

    @torch.inference_mode()
    def extract(self, dialogue: Sequence[RecordedUtterance]) -> Extracted:
        """Vectors of the transcripts; an utterance without one has none, and is no neighbour either."""
        texts = [(utterance.text or "").strip() for utterance in dialogue]
        present = np.array([bool(text) for text in texts], bool)
        vectors = np.zeros((len(dialogue), self._modality.width), np.float32)
        for rows in self._groups(np.flatnonzero(present), texts):
            vectors[rows] = self._vectors([texts[row] for row in rows])
        return Extracted(vectors, present, tuple("" if found else "no text" for found in present))

    def _groups(self, rows: np.ndarray, texts: Sequence[str]) -> Iterable[np.ndarray]:
        """Rows that are encoded together: a dialogue, or else texts of about one length, which need little padding."""
        if self._config.context == "dialogue":
            return [rows] if len(rows) else []
        ordered = np.array(sorted(rows, key=lambda row: len(texts[row])), dtype=int)
        return [ordered[i : i + self._config.batch] for i in range(0, len(ordered), self._config.batch)]

    def _vectors(self, texts: list[str]) -> np.ndarray:
        """Vectors [n, D] of texts that are one dialogue, or n of one utterance each."""
        packer = TextPacker(self._tokenizer, self._config.max_tokens)  # a new one: it remembers every text it packs
        alone = self._config.context == "none"
        blocks = packer.pack_texts([[text] for text in texts] if alone else [texts])
        vectors = self._pooled(self._states(blocks), blocks)
        if self._config.normalise:
            vectors = torch.nn.functional.normalize(vectors)
        pooled: np.ndarray = vectors.numpy()
        return pooled

    def _states(self, blocks: TokenBlocks) -> Tensor:
        """States [K, L, D] of all sub-tokens, on the CPU."""
        size = self._config.batch
        parts = zip(torch.split(blocks.ids, size), torch.split(blocks.mask.long(), size), strict=True)
        return torch.cat([self._encoded(ids.to(self._device), mask.to(self._device)).cpu() for ids, mask in parts])

    def _encoded(self, ids: Tensor, mask: Tensor) -> Tensor:
        """States [K, L, D] of blocks [K, L], with lengths rounded up: few shapes keep the library's memory flat."""
        length = ids.shape[1]
        room = (0, min(-length % ROUND, self._config.max_tokens - length))
        padding = self._tokenizer.pad_token_id
        inputs = {
            "input_ids": torch.nn.functional.pad(ids, room, value=padding),
            "attention_mask": torch.nn.functional.pad(mask, room),
        }
        if self._config.layer == -1:
            states: Tensor = self._encoder(**inputs).last_hidden_state
        else:
            states = self._encoder(**inputs, output_hidden_states=True).hidden_states[self._config.layer]
        return states[:, :length]

    def _pooled(self, states: Tensor, blocks: TokenBlocks) -> Tensor:
        """Utterance vectors [n, D] of states [K, L, D]."""
        flat = states.flatten(0, 1)
        if self._config.pooling == "first":
            return states[:, 0]
        if self._config.pooling == "ends":
            return 0.5 * (flat[blocks.first] + flat[blocks.last])
        markers = int(self._config.context == "none")  # an utterance alone is meant with its markers
        spans = zip((blocks.first - markers).tolist(), (blocks.last + markers).tolist(), strict=True)
        return torch.stack([flat[first : last + 1].mean(0) for first, last in spans])


def tensors_sha256(tensors: dict[str, Any]) -> str:
    """Hash of names, shapes and numbers: the same weights have the same one, in whatever files they come."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()
