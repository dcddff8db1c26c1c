"""The pretrained transformer inside a model: by name, from a folder, or a small one with random weights.

``scratch`` stands for the last: nothing is downloaded, so a study of such a model can be tried anywhere. It reads
hashed words, and what it knows it has from the training split alone: its scores are not those of a pretrained model.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import transformers

from dferc.encoders.loading import load_config, load_encoder, load_pretrained, recompute
from dferc.encoders.words import HASHED, HASHED_VOCABULARY, Words
from dferc.errors import UserError

SCRATCH = "scratch"
WIDTH, LAYERS, HEADS, FEED_FORWARD = 64, 2, 4, 128
"""Sizes of a backbone from scratch [ours]."""
Kind = Literal["encoder", "xlnet", "bart", "t5"]
"""What a model can be built on: an encoder like BERT or RoBERTa, XLNet, BART, T5."""
KNOWN = {"xlnet": ("xlnet",), "bart": ("bart", "mbart"), "t5": ("t5", "mt5")}
"""Kind to the ``model_type`` of the configurations that are of it; of encoders there are too many to list. UMT5 is no
T5 here: each of its blocks has distances of its own."""


@dataclass(frozen=True)
class Backbone:
    """A transformer, and what turns transcripts into its sub-tokens."""

    words: Words
    transformer: Any
    """Of the transformers library: a base model without head, but a T5 with its own."""
    pretrained: bool

    @property
    def width(self) -> int:
        """Numbers in a state."""
        return int(self.transformer.config.hidden_size)


def load_backbone(
    source: str,
    kind: Kind,
    max_tokens: int,
    needs: Sequence[str] = ("cls", "sep"),
    gradient_checkpointing: bool = False,
) -> Backbone:
    """Load a backbone, or make one.

    Args:
        source: a folder, a name on the Hugging Face hub, or ``scratch``.
        kind: what it must be.
        max_tokens: most sub-tokens of a sequence; also where transcripts are cut.
        needs: special sub-tokens that the model puts into sequences, beside padding and ``unk``.
        gradient_checkpointing: compute its states again in the backward pass.

    Raises:
        UserError: it cannot be loaded, lacks weights, words or special sub-tokens, is of another kind or too short, or
            cannot compute its states again.
    """
    if source == SCRATCH:
        backbone = Backbone(Words.hashed(max_tokens), _from_scratch(kind, max_tokens), pretrained=False)
    else:
        tokenizer, transformer = _load(source, kind, max_tokens)
        words = Words.pretrained(tokenizer, max_tokens, (*needs, "pad", "unk"))
        backbone = Backbone(words, transformer, pretrained=True)
    if gradient_checkpointing:
        recompute(backbone.transformer)
    return backbone


def _load(source: str, kind: Kind, max_tokens: int) -> tuple[Any, Any]:
    """Tokenizer and transformer, of this kind and with as many positions."""
    config = load_config(source)
    found = config.model_type
    if found not in KNOWN.get(kind, (found,)) or (kind == "encoder" and config.is_encoder_decoder):
        raise UserError(f"{source!r} is a {found}, but this model is built on a transformer of the kind {kind}")
    if kind == "bart" and max_tokens > config.max_position_embeddings:
        room = config.max_position_embeddings
        raise UserError(f"max_tokens = {max_tokens} is more than the {room} positions that {source!r} has")
    if kind == "encoder":
        return load_encoder(source, max_tokens)
    return load_pretrained(source, transformers.AutoModelForSeq2SeqLM if kind == "t5" else transformers.AutoModel)


def _from_scratch(kind: Kind, max_tokens: int) -> Any:
    special = {
        "pad_token_id": HASHED["pad"],
        "bos_token_id": HASHED["bos"],
        "eos_token_id": HASHED["eos"],
        "vocab_size": HASHED_VOCABULARY,
    }
    if kind == "encoder":
        config = transformers.BertConfig(
            hidden_size=WIDTH, num_hidden_layers=LAYERS, num_attention_heads=HEADS, intermediate_size=FEED_FORWARD,
            max_position_embeddings=max_tokens, **special,
        )  # fmt: skip
        return transformers.BertModel(config, add_pooling_layer=False)
    if kind == "xlnet":
        return transformers.XLNetModel(
            transformers.XLNetConfig(
                d_model=WIDTH, n_layer=LAYERS, n_head=HEADS, d_inner=FEED_FORWARD,
                initializer_range=WIDTH**-0.5,  # with its own 0.02 nothing but its own word would reach a state
                **special,
            )
        )  # fmt: skip
    if kind == "bart":
        config = transformers.BartConfig(
            d_model=WIDTH, encoder_layers=LAYERS, decoder_layers=LAYERS, encoder_attention_heads=HEADS,
            decoder_attention_heads=HEADS, encoder_ffn_dim=FEED_FORWARD, decoder_ffn_dim=FEED_FORWARD,
            max_position_embeddings=max_tokens, decoder_start_token_id=HASHED["eos"], **special,
        )  # fmt: skip
        return transformers.BartModel(config)
    config = transformers.T5Config(
        d_model=WIDTH, d_kv=WIDTH // HEADS, d_ff=FEED_FORWARD, num_layers=LAYERS, num_decoder_layers=LAYERS,
        num_heads=HEADS, decoder_start_token_id=HASHED["pad"], **special,
    )  # fmt: skip
    return transformers.T5ForConditionalGeneration(config)
