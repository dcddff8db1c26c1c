"""MFN: an LSTM for each modality over the dialogue, and a memory of what their cells say to each other.

    (h_m, c_m) = LSTM_m(y_m, ..)    s_t = [c_(t-1) ; c_t] of all modalities    a = softmax(attention(s)) * s
    mem <- sigmoid(retain([a ; mem])) * mem + sigmoid(update([a ; mem])) * tanh(candidate(a))
    z = [h_text ; h_audio ; h_visual ; mem]    logits = U z + c

The recurrence is in dferc/layers/memory_fusion.py. The adaptation to conversations in MM-DFN's repository: see
fusion_model.py for y, the loss and the sources. A step is a turn of the dialogue here, in the paper a word, and every
turn is classified, there the last step through a hidden layer. For an utterance without a modality y_m is 0 [ours].
"""

from collections.abc import Mapping
from typing import Any, ClassVar, cast

import torch
from pydantic import Field
from torch import Tensor

from dferc.corpus.batch import DialogueBatch
from dferc.layers.memory_fusion import MemoryFusion
from dferc.models.base import ModelConfig, Task
from dferc.models.fusion_model import FusionConfig, FusionModel


class MFNConfig(FusionConfig):
    """Settings of MFN."""

    hidden: int = Field(100, ge=1, description="width of each modality's LSTM [code: dh_l, dh_a, dh_v]")
    memory_width: int = Field(100, ge=1, description="of the memory [code: mem_dim]")
    attention_hidden: int = Field(100, ge=1, description="inner width of the attention network [code: h_att1]")
    candidate_hidden: int = Field(100, ge=1, description="that of the candidate network [code: h_att2]")
    retain_hidden: int = Field(100, ge=1, description="that of the gate that keeps [code: h_gamma1]")
    update_hidden: int = Field(100, ge=1, description="that of the gate that adds [code: h_gamma2]")
    memory_dropout: float = Field(0.2, ge=0, lt=1, description="inside these four networks [code]")


class MFN(FusionModel):
    """The model of Zadeh et al. (2018), as the MM-DFN release adapts it to conversations."""

    name: ClassVar[str] = "mfn"
    citation: ClassVar[str] = (
        "A. Zadeh, P. P. Liang, N. Mazumder, S. Poria, E. Cambria, L.-P. Morency. Memory Fusion Network for Multi-view "
        "Sequential Learning. AAAI 2018"
    )
    config_type: ClassVar[type[ModelConfig]] = MFNConfig
    prefers: ClassVar[tuple[str, ...]] = ("text", "audio", "visual")
    small: ClassVar[Mapping[str, Any]] = {
        "projected_width": 6, "extra_width": 4, "hidden": 5, "memory_width": 6, "attention_hidden": 6,
        "candidate_hidden": 6, "retain_hidden": 6, "update_hidden": 7,
    }  # fmt: skip

    def __init__(self, config: ModelConfig, task: Task) -> None:
        super().__init__(config, task)
        config = cast(MFNConfig, config)
        self.memory = MemoryFusion(
            len(self.widths),
            self.extended.width,
            config.hidden,
            config.memory_width,
            (config.attention_hidden, config.candidate_hidden, config.retain_hidden, config.update_hidden),
            config.memory_dropout,
        )

    def fused_width(self, config: FusionConfig) -> int:
        """The states of all modalities and the memory."""
        config = cast(MFNConfig, config)
        return len(self.widths) * config.hidden + config.memory_width

    def fused(self, batch: DialogueBatch) -> Tensor:
        """z [N, F] of the utterances."""
        vectors, present = self.modality_vectors(batch)
        fused: Tensor = self.memory(torch.stack([y * present[m] for m, y in vectors.items()]), batch)
        return fused
