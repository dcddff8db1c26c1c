"""MultiEMO: each modality hears its parties by itself, then the other modalities, and two losses bind them.

    u_m = W_m x_m + b_m    h_m = relu(W [e_m forwards ; e_m backwards] + b), e_m of a DialogueRNN over u_m
    f_m = what the layers of cross-attention make of h_m, which hears first one, then the other of the other modalities
    z = W [f_t ; f_a ; f_v] + b    logits = V relu(U z + c) + d
    L = w_1 Soft-HGR(f_t, f_a, f_v) + w_2 SWFC(z) + w_3 CE

The recurrence is in dferc/layers/stream_context.py, the attention in cross_attention.py, the losses in soft_hgr.py and
focal_contrast.py. On MELD the recurrence runs forwards only, h_m = relu(e_m), and not over the text, h_t = u_t. Of a
modality that an utterance lacks nothing is heard and Soft-HGR does not count it; its own f_m is what it hears of the
others [ours]. Source of the defaults: TaoShi1998/MultiEMO-ACL2023, Train/TrainMultiEMO.py and its two scripts [code].

The attention of the release has no mask: it hears the padding behind short dialogues, where the vectors are W_m 0 + b_m
and the recurrence forwards goes on. Where it has dropout, which is 0 in all of its settings, it also drops logits,
and behind a feed-forward network twice; here dropout is before the classifier and once.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self, cast

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from dferc.corpus.batch import TEXT, DialogueBatch
from dferc.layers.cross_attention import CrossAttention
from dferc.layers.focal_contrast import focal_contrast, sample_weights
from dferc.layers.reduction import ALONE, Reduction
from dferc.layers.soft_hgr import Covariance, soft_hgr
from dferc.layers.stream_context import StreamContext
from dferc.models.base import ModelConfig, Output, Task
from dferc.models.feature_model import FeatureConfig, FeatureModel


class MultiEMOConfig(FeatureConfig):
    """Settings of MultiEMO."""

    model_width: int = Field(256, ge=2, description="of every state, a multiple of heads [code: model_dim]")
    text_context: bool = Field(True, description="the recurrence runs over the text too [code: on IEMOCAP only]")
    bidirectional: bool = Field(True, description="the recurrence runs backwards too [code: on IEMOCAP only]")
    layers: int = Field(6, ge=1, description="of cross-attention, in each modality [code: 6 on IEMOCAP, 2 on MELD]")
    heads: int = Field(4, ge=1, description="of each attention [code]")
    feed_forward: int = Field(1024, ge=1, description="inner width of the feed-forward networks [code: hidden_dim]")
    hidden: int = Field(
        256, ge=1, description="width of the layer before the classifier [code: that of the model, on MELD twice that]"
    )
    dropout: float = Field(0.0, ge=0, lt=1, description="of all but the recurrence [code: 0]")
    recurrent_dropout: float = Field(0.0, ge=0, lt=1, description="on each new state of the recurrence [code: 0]")
    soft_hgr_weight: float = Field(0.3, ge=0, description="w_1 [code: 0.4 on IEMOCAP, 0.3 on MELD]")
    contrastive_weight: float = Field(0.4, ge=0, description="w_2 [code: 0.4 on IEMOCAP, 0.3 on MELD]")
    classification_weight: float = Field(0.3, gt=0, description="w_3 [code: 0.2 on IEMOCAP, 0.4 on MELD]")
    covariance: Covariance = Field(
        "utterances",
        description="of Soft-HGR: between utterances [code], or numbers, between those of their vectors, as Soft-HGR "
        "usually is [ours]",
    )
    temperature: float = Field(0.8, gt=0, description="tau of SWFC [code: 1.4 on MELD]")
    focus: float = Field(2.0, ge=0, description="gamma of SWFC [code: 2.4 on IEMOCAP]")
    sample_weight_power: float = Field(
        0.8, ge=0, description="alpha of SWFC; 0 weighs classes alike [code: 1.1 on IEMOCAP, 1.2 on MELD]"
    )
    padding: Literal["exact", "released"] = Field(
        "exact", description="released: the attention hears the padding behind short dialogues [code]"
    )

    @model_validator(mode="after")
    def _heads_divide(self) -> Self:
        if self.model_width % self.heads:
            raise ValueError(f"model_width ({self.model_width}) is not a multiple of heads ({self.heads})")
        return self


class MultiEMO(FeatureModel):
    """The model of Shi and Huang (2023)."""

    name: ClassVar[str] = "multi_emo"
    citation: ClassVar[str] = (
        "T. Shi, S.-L. Huang. MultiEMO: An Attention-Based Correlation-Aware Multimodal Fusion Framework for Emotion "
        "Recognition in Conversations. ACL 2023. doi:10.18653/v1/2023.acl-long.824"
    )
    config_type: ClassVar[type[ModelConfig]] = MultiEMOConfig
    iemocap_weights: ClassVar[tuple[float, ...]] = (1.0,) * 6
    recipes: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "iemocap": {
            "learning_rate": 1e-4, "weight_decay": 1e-5, "batch_dialogues": 64, "epochs": 100, "soft_hgr_weight": 0.4,
            "contrastive_weight": 0.4, "classification_weight": 0.2, "focus": 2.4, "sample_weight_power": 1.1,
        },
        "meld": {
            "learning_rate": 1e-4, "weight_decay": 1e-5, "batch_dialogues": 100, "epochs": 15, "layers": 2,
            "text_context": False, "bidirectional": False, "hidden": 512, "soft_hgr_weight": 0.3,
            "contrastive_weight": 0.3, "classification_weight": 0.4, "temperature": 1.4, "sample_weight_power": 1.2,
        },
    }  # fmt: skip
    small: ClassVar[Mapping[str, Any]] = {"model_width": 6, "heads": 2, "layers": 1, "feed_forward": 5, "hidden": 5}
    sample_weight: Tensor

    def __init__(self, config: ModelConfig, task: Task) -> None:
        super().__init__(config, task)
        self.config = config = cast(MultiEMOConfig, config)
        width, modalities = config.model_width, len(self.widths)
        self.projections = nn.ModuleDict({m: nn.Linear(d, width) for m, d in self.widths.items()})
        self.in_context = [m for m in self.widths if config.text_context or m != TEXT]
        sizes = (width, config.bidirectional, config.recurrent_dropout, config.dropout)
        self.context = StreamContext(self.in_context, *sizes) if self.in_context else None
        size = (width, config.heads, config.feed_forward, config.dropout)
        self.cross = nn.ModuleDict({m: CrossAttention(config.layers, modalities - 1, *size) for m in self.widths})
        self.fusion = nn.Linear(modalities * width, width)
        self.hidden = nn.Linear(width, config.hidden)
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(config.hidden, len(task.labels))
        self.register_buffer("sample_weight", sample_weights(task.train_counts, config.sample_weight_power))

    def loss_weights(self) -> Mapping[str, float | Tensor]:
        """w_1 (of two modalities or more), w_2 and w_3."""
        config = self.config
        binding = {"soft_hgr": config.soft_hgr_weight} if len(self.widths) > 1 else {}
        return {
            "contrastive": config.contrastive_weight,
            "classification": config.classification_weight,
            **binding,
        }

    def forward(self, batch: DialogueBatch, across: Reduction = ALONE) -> Output:
        """Logits [B, T, C] and the three losses."""
        config, known = self.config, self.known(batch)
        bound, fused = self.fused(batch)
        logits = self.classifier(self.dropout(torch.relu(self.hidden(fused))))
        losses = {
            "contrastive": focal_contrast(
                fused, known.labels, known.labelled, self.sample_weight, config.temperature, config.focus, across
            )
        }
        if len(bound) > 1:
            losses["soft_hgr"] = soft_hgr(bound, known.present, across, config.covariance)
        return self.classified(logits, batch, losses)

    def fused(self, batch: DialogueBatch) -> tuple[Tensor, Tensor]:
        """f of every modality [M, N, H], and z [N, H]."""
        streams = self._streams(batch)
        everywhere = self.config.padding == "released"
        keys = {m: torch.ones_like(batch.mask) if everywhere else batch.present[m] for m in streams}
        bound = []
        for name, stream in streams.items():
            heard = [(other, keys[m]) for m, other in streams.items() if m != name]
            bound.append(batch.flat(self.cross[name](stream, heard)))
        return torch.stack(bound), self.fusion(torch.cat(bound, dim=-1))

    def _streams(self, batch: DialogueBatch) -> dict[str, Tensor]:
        """h of every modality [B, T, H]; at padding what the release has there."""
        vectors, _ = self.inputs(batch)
        streams = {m: self.projections[m](batch.padded(x)) for m, x in vectors.items()}
        if self.context is not None:
            contextual = self.context(torch.stack([batch.flat(streams[m]) for m in self.in_context]), batch)
            streams |= dict(zip(self.in_context, contextual, strict=True))
        return streams
