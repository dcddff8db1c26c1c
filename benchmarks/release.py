"""The released DF-ERC implementation as one side of a measurement; it is imported from a checkout and never copied.

Its text encoder is left out: utterance vectors stand for what the encoder would return, as they do on our side.
"""

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import torch
import yaml
from torch import Tensor, nn

from dferc.corpus.batch import DialogueBatch
from dferc.errors import UserError


def release_step(checkout: Path, widths: dict[str, int], labels: tuple[str, ...]) -> Callable[[DialogueBatch], None]:
    """One training step of the release as a function of a batch: forward, backward, clipping, its AdamW and schedule.

    Raises:
        UserError: ``checkout`` is no checkout of the release.
    """
    settings = checkout / "src" / "iemo_config.yaml"
    if not settings.is_file():
        raise UserError(f"{checkout} is no checkout of unikcc/DFERC: it has no src/iemo_config.yaml")
    sys.path.insert(0, str(checkout))
    sizes = {"audio_in_size": widths["audio"], "video_in_size": widths["visual"], "device": torch.device("cpu")}
    names = {"speaker_dict": dict.fromkeys("AB"), "emotion_dict": dict(enumerate(labels))}
    config = SimpleNamespace(**{**yaml.safe_load(settings.read_text(encoding="utf-8")), **sizes, **names})
    model = _head(config, widths["text"]).train()
    tools = importlib.import_module("src.tools")
    tools.load_param(config, model, range(1000))

    def step(batch: DialogueBatch) -> None:
        config.optimizer.zero_grad()
        _, loss = model(_inputs(batch))
        loss.backward()
        leaves = [p for p in model.parameters() if p.is_leaf]  # its DropConnect leaves computed weights among them
        nn.utils.clip_grad_norm_(leaves, config.max_grad_norm)
        config.optimizer.step()
        config.scheduler.step()

    return step


def _head(config: SimpleNamespace, text_width: int) -> nn.Module:
    released = importlib.import_module("src.model")
    shape = SimpleNamespace(hidden_size=text_width, hidden_dropout_prob=0.1)
    with (
        patch.object(released.AutoConfig, "from_pretrained", return_value=shape),
        patch.object(released.RobertaModel, "from_pretrained", return_value=nn.Identity()),
    ):
        model: nn.Module = released.BertBaseline(config)
    model.extract_text = _given_vectors  # type: ignore[assignment]
    return model


def _given_vectors(vectors: Tensor, *_: object) -> list[Tensor]:
    return [vectors]


def _inputs(batch: DialogueBatch) -> dict[str, Any]:
    encoder_only = dict.fromkeys(("input_masks", "input_segments", "input_indices", "indices_nums"))
    return {
        **encoder_only,
        "input_ids": batch.flat(batch.features["text"]),
        "audio": batch.flat(batch.features["audio"]),
        "video": batch.flat(batch.features["visual"]),
        "dialogue_num": batch.lengths,
        "input_labels": batch.flat(batch.labels),
    }
