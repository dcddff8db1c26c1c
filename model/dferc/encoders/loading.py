"""Pretrained models of the transformers library, loaded so that whatever is wrong with them is one sentence."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, AutoModel, AutoTokenizer

from dferc.errors import UserError

METASPACE = "▁"
"""What SentencePiece writes for a space; the library gives it even to a tokenizer that it makes of nothing."""


def load_config(source: str) -> Any:
    """Which kind of model it is, and its sizes: read before the weights, which may be gigabytes away.

    Raises:
        UserError: it cannot be loaded.
    """
    with _in_one_sentence(source):
        return AutoConfig.from_pretrained(source, trust_remote_code=False)


def load_pretrained(source: str, auto: Any = AutoModel) -> tuple[Any, Any]:
    """Tokenizer and model, by the library's class ``auto``; safetensors only, and no code of the model's own.

    Raises:
        UserError: it cannot be loaded, or lacks weights or words.
    """
    with _in_one_sentence(source):
        model, report = auto.from_pretrained(
            source, trust_remote_code=False, use_safetensors=True, dtype=torch.float32, output_loading_info=True
        )
        tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
    absent = sorted(name for name in report["missing_keys"] if not name.startswith("pooler."))
    if absent:
        raise UserError(
            f"the weights of the pretrained model {source!r} are not whole: "
            f"{len(absent)} tensors are missing, the first is {absent[0]}"
        )
    _refuse_strange_words(source, tokenizer, model)
    return tokenizer, model


def load_encoder(source: str, max_tokens: int) -> tuple[Any, Any]:
    """Tokenizer and encoder, without a pooling layer: nothing would ever train it.

    Raises:
        UserError: it cannot be loaded, lacks weights, or cannot take this many sub-tokens at once.
    """
    tokenizer, model = load_pretrained(source)
    if getattr(model, "pooler", None) is not None:
        model.pooler = None
    room = positions(model)
    if room is not None and max_tokens > room:
        raise UserError(f"max_tokens = {max_tokens} is more than the {room} positions that {source!r} has")
    return tokenizer, model


def positions(model: Any) -> int | None:
    """Sub-tokens for which the model has learned absolute positions; None where it has no such limit."""
    table = getattr(getattr(model, "embeddings", None), "position_embeddings", None)
    if not isinstance(table, nn.Embedding):
        return None
    # RoBERTa counts from behind the padding's place.
    reserved = 0 if table.padding_idx is None else table.padding_idx + 1
    return table.num_embeddings - reserved


def recompute(model: Any) -> None:
    """Let a model compute its states again in the backward pass: less memory, more time.

    Raises:
        UserError: it is of a kind that cannot.
    """
    if not model.supports_gradient_checkpointing:
        raise UserError(f"gradient_checkpointing is not possible with the library's {model.config.model_type}")
    model.activation_checkpointing_enable()


def _refuse_strange_words(source: str, tokenizer: Any, model: Any) -> None:
    """A tokenizer whose files are absent knows nothing, one of another model says numbers that the weights lack."""
    numbers = tokenizer.get_vocab()
    if not numbers.keys() - {*tokenizer.all_special_tokens, METASPACE}:
        raise UserError(f"the tokenizer of {source!r} knows no word: its files are missing, best is a tokenizer.json")
    table = model.get_input_embeddings()
    if isinstance(table, nn.Embedding) and max(numbers.values()) >= table.num_embeddings:
        raise UserError(
            f"the tokenizer of {source!r} has {len(numbers)} sub-tokens, its weights have only {table.num_embeddings}: "
            f"they do not belong together"
        )


@contextmanager
def _in_one_sentence(source: str) -> Iterator[None]:
    """Say what goes wrong inside as a UserError."""
    try:
        yield
    except Exception as error:  # each library below raises kinds of its own
        reason = re.split(r"\.\s", str(error) or type(error).__name__)[0].rstrip(".")
        raise UserError(
            f"the pretrained model {source!r} cannot be loaded ({reason}): give a folder with config.json, "
            f"tokenizer.json and model.safetensors, or the name of a model that can be downloaded from here"
        ) from None
