"""M2FNet: a transformer stack for each modality, then fusion modules that stir the others into the text.

    h_m <- P_m x_m, then K times h_m <- h_m + Encoder_mk(h_m)                            (m = text, audio, visual)
    f <- h_text, then L times f <- W_l [f ; MHA_la(f, h_audio, f) ; MHA_lv(f, h_visual, f)] + b_l
    logits = V relu(U [f ; h_audio ; h_visual] + c) + d

MHA(query, key, value): what audio and visual say decides which utterances of the text are heard. Encoder and MHA as in
``dferc.layers.transformer``. Speakers and positions are not looked at. Loss: cross-entropy without class weights.

Reinterpretation: no official code was found, and of the paper only the abstract was at hand. What is known, and whence:

- [recalled] of the paper, not checked against its text: a transformer stack a modality with skip connections, five
  stacked fusion modules of multi-head attention, concatenation and a linear layer, two fully connected layers,
  cross-entropy;
- [seen] in the two public re-implementations that were found (one with audio and text, one with all three), which
  agree: the skip around each encoder; text, other, text as query, key, value; the text kept beside what was attended;
  the other modalities joined to it before the classifier; no positions. The first puts ReLUs around the linear layer
  of fusion, the second does not, nor does this; the second uses one fusion module over and over, this does not;
- [ours] all sizes but the five fusion modules, dropout, and P_m, which comes before the encoders because the heads
  must divide the width, where the re-implementations project behind them.

Not here: the extractors of the paper (fine-tuned RoBERTa; audio and faces with scenes, trained with an adaptive-margin
triplet loss). That loss trains extractors, not this network; vectors of any extractor stand in for theirs.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Self, cast

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from dferc.corpus.batch import TEXT, DialogueBatch
from dferc.layers.reduction import ALONE, Reduction
from dferc.layers.transformer import Encoder, MultiHeadAttention
from dferc.models.base import ModelConfig, Output, Task
from dferc.models.feature_model import FeatureConfig, FeatureModel


class M2FNetConfig(FeatureConfig):
    """Settings of M2FNet."""

    width: int = Field(256, ge=1, description="of every modality inside the network [ours]")
    heads: int = Field(8, ge=1, description="attention heads; they must divide the width [ours]")
    feedforward: int = Field(512, ge=1, description="width of the hidden layer inside an encoder layer [ours]")
    encoders: int = Field(2, ge=1, description="encoders of each modality, a skip around each [ours]")
    encoder_layers: int = Field(1, ge=1, description="layers of each encoder [ours]")
    fusion_layers: int = Field(5, ge=1, description="stacked fusion modules [recalled of the paper]")
    hidden: int = Field(256, ge=1, description="width of the layer before the classifier [ours]")
    dropout: float = Field(0.4, ge=0, lt=1, description="everywhere [seen: the re-implementation with audio and text]")

    @model_validator(mode="after")
    def _heads_divide(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"heads ({self.heads}) must divide width ({self.width})")
        return self


class FusionModule(nn.Module):
    """One fusion-attention module: the main modality attends by each of the others, and all is mixed again."""

    def __init__(self, others: int, width: int, heads: int, dropout: float) -> None:
        """Make the attentions, one for each of the other modalities."""
        super().__init__()
        self.attentions = nn.ModuleList(MultiHeadAttention(width, heads, dropout) for _ in range(others))
        self.mix = nn.Linear((1 + others) * width, width)

    def forward(self, main: Tensor, others: list[Tensor], batch: DialogueBatch) -> Tensor:
        """Main modality [N, D] and the others, each [N, D] -> main modality [N, D]."""
        heard = [attend(main, other, main, batch) for attend, other in zip(self.attentions, others, strict=True)]
        mixed: Tensor = self.mix(torch.cat([main, *heard], dim=-1))
        return mixed


class M2FNet(FeatureModel):
    """The network of Chudasama et al. (2022) behind its extractors; a reinterpretation."""

    name: ClassVar[str] = "m2fnet"
    citation: ClassVar[str] = (
        "V. Chudasama, P. Kar, A. Gudmalwar, N. Shah, P. Wasnik, N. Onoe. M2FNet: Multi-Modal Fusion Network for "
        "Emotion Recognition in Conversation. CVPR Workshops 2022, arXiv:2206.02187"
    )
    config_type: ClassVar[type[ModelConfig]] = M2FNetConfig
    iemocap_weights: ClassVar[tuple[float, ...]] = (1.0,) * 6
    small: ClassVar[Mapping[str, Any]] = {"width": 8, "heads": 2, "feedforward": 8, "fusion_layers": 2, "hidden": 8}

    def __init__(self, config: ModelConfig, task: Task) -> None:
        super().__init__(config, task)
        config = cast(M2FNetConfig, config)
        self.main = TEXT if TEXT in self.modalities else self.modalities[0]
        self.others = [m for m in self.modalities if m != self.main]
        self.projections = nn.ModuleDict({m: nn.Linear(d, config.width) for m, d in self.widths.items()})
        shape = (config.encoder_layers, config.width, config.heads, config.feedforward, config.dropout)
        self.encoders = nn.ModuleDict(
            {m: nn.ModuleList(Encoder(*shape) for _ in range(config.encoders)) for m in self.modalities}
        )
        self.fusion = nn.ModuleList(
            FusionModule(len(self.others), config.width, config.heads, config.dropout)
            for _ in range(config.fusion_layers if self.others else 0)  # nothing to fuse with
        )
        self.hidden = nn.Linear(len(self.modalities) * config.width, config.hidden)
        self.classifier = nn.Linear(config.hidden, len(task.labels))
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, batch: DialogueBatch, across: Reduction = ALONE) -> Output:
        """Logits [B, T, C] and the classification loss."""
        encoded = self.encoded(batch)
        others = [encoded[m] for m in self.others]
        fused = encoded[self.main]
        for module in self.fusion:
            fused = self.dropout(module(fused, others, batch))
        hidden = torch.relu(self.hidden(torch.cat([fused, *others], dim=-1)))
        return self.classified(self.classifier(self.dropout(hidden)), batch)

    def encoded(self, batch: DialogueBatch) -> dict[str, Tensor]:
        """Each modality in the context of its dialogue [N, D]."""
        vectors, _ = self.inputs(batch)
        return {m: self._in_context(m, vectors[m], batch) for m in self.modalities}

    def _in_context(self, modality: str, vectors: Tensor, batch: DialogueBatch) -> Tensor:
        states: Tensor = self.dropout(self.projections[modality](vectors))
        for encoder in cast(nn.ModuleList, self.encoders[modality]):
            states = states + encoder(states, batch)
        return states
