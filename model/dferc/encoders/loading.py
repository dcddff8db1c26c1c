"""Pretrained models of the transformers library, loaded so that whatever is wrong with them is one sentence."""

import re
from typing import Any

import torch
from torch import nn
from transformers import AutoModel, AutoTokenizer

from dferc.errors import UserError


def load_pretrained(source: str, auto: Any = AutoModel) -> tuple[Any, Any]:
    """Tokenizer and model, by the library's class ``auto``; safetensors only, and no code of the model's own.

    Raises:
        UserError: it cannot be loaded, or lacks weights.
    """
    try:
        model, report = auto.from_pretrained(
            source, trust_remote_code=False, use_safetensors=True, dtype=torch.float32, output_loading_info=True
        )
        tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
    except Exception as error:  # each library below raises kinds of its own
        reason = re.split(r"\.\s", str(error) or type(error).__name__)[0].rstrip(".")
        raise UserError(
            f"the pretrained model {source!r} cannot be loaded ({reason}): give a folder with config.json, "
            f"tokenizer.json and model.safetensors, or the name of a model that can be downloaded from here"
        ) from None
    absent = sorted(name for name in report["missing_keys"] if not name.startswith("pooler."))
    if absent:
        raise UserError(
            f"the weights of the pretrained model {source!r} are not whole: "
            f"{len(absent)} tensors are missing, the first is {absent[0]}"
        )
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
    reserved = (
        0 if table.padding_idx is None else table.padding_idx + 1
    )  # RoBERTa counts from behind the padding's place
    return table.num_embeddings - reserved
