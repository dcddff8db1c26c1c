"""DialogueTRM: a transformer for each modality that attends to the dialogue or does not, and fusion at two grains.

    h_m = Transformer_m(W_m u_m + b_m)        over the dialogue (sequential), or each utterance alone (feed-forward)
    v_m = sigmoid(G_m [h_1 ; ... ; h_M] + g_m) * tanh(U_m h_m + c_m)                              neuron-grained
    {z_m} = Transformer({v_1, ..., v_M})      over the modalities of an utterance                 vector-grained
    logits = V dropout([z_1 ; ... ; z_M]) + d

u_m is the utterance's vector of modality m; * goes element by element. Where an utterance lacks m, its h_m, v_m and
z_m are 0 and nothing attends to them.

**Reinterpretation.** No released code is known. This is built from what the abstracts of the paper's two versions say
(arXiv:2010.07637; Findings of EMNLP 2021), not from its equations: a Hierarchical Transformer that switches between a
sequential and a feed-forward structure by how much context a modality prefers, and a Multi-Grained Interactive Fusion
of neuron- and vector-grained interactions. Others who read the paper add that it is text that leans on context, and
that a gate makes the first grain and a transformer's attention the second, in this order. All else is inferred: the
gate is that of the gated multimodal unit (Arevalo et al., 2017); feed-forward is a transformer layer without its
attention; norms behind sub-layers, sinusoids, the dialogue in both directions, no speakers, a linear classifier, plain
cross-entropy, and every size. Not here: the lower half of the hierarchy, BERT over an utterance's words, for which the
frozen vector stands.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Self, cast

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from dferc.corpus.batch import DialogueBatch
from dferc.layers.reduction import ALONE, Reduction
from dferc.layers.stacked import StackedLinear
from dferc.layers.switched_transformer import SwitchedTransformer, TransformerLayer
from dferc.models.base import ModelConfig, Output, Task
from dferc.models.feature_model import FeatureConfig, FeatureModel


class DialogueTRMConfig(FeatureConfig):
    """Settings of DialogueTRM."""

    sequential: tuple[str, ...] = Field(
        ("text",),
        description="modalities whose transformer attends over the dialogue; the others' do not [paper: text]",
    )
    hidden: int = Field(256, ge=1, description="width of every state, a multiple of heads [ours]")
    heads: int = Field(4, ge=1, description="heads of each attention [ours]")
    layers: int = Field(2, ge=1, description="layers of each modality's transformer [ours]")
    fusion_layers: int = Field(1, ge=1, description="layers of the transformer over an utterance's modalities [ours]")
    feed_forward: int = Field(512, ge=1, description="inner width of the feed-forward networks [ours]")
    dropout: float = Field(0.1, ge=0, lt=1, description="in every transformer, and before the classifier [ours]")

    @model_validator(mode="after")
    def _heads_divide(self) -> Self:
        if self.hidden % self.heads:
            raise ValueError(f"hidden ({self.hidden}) is not a multiple of heads ({self.heads})")
        return self


class DialogueTRM(FeatureModel):
    """The model of Mao et al. (2021), reinterpreted; the module says what is inferred."""

    name: ClassVar[str] = "dialogue_trm"
    citation: ClassVar[str] = (
        "Y. Mao, G. Liu, X. Wang, W. Gao, X. Li. DialogueTRM: Exploring Multi-Modal Emotional Dynamics in a "
        "Conversation. Findings of EMNLP 2021"
    )
    config_type: ClassVar[type[ModelConfig]] = DialogueTRMConfig
    iemocap_weights: ClassVar[tuple[float, ...]] = (1.0,) * 6
    small: ClassVar[Mapping[str, Any]] = {
        "hidden": 8, "heads": 2, "layers": 1, "feed_forward": 8, "sequential": ("text", "audio"),
    }  # fmt: skip

    def __init__(self, config: ModelConfig, task: Task) -> None:
        super().__init__(config, task)
        config = cast(DialogueTRMConfig, config)
        size = (config.hidden, config.heads, config.feed_forward)
        self.projections = nn.ModuleDict({m: nn.Linear(width, config.hidden) for m, width in self.widths.items()})
        self.transformers = nn.ModuleDict(
            {
                m: SwitchedTransformer(*size, config.layers, config.dropout, sequential=m in config.sequential)
                for m in self.modalities
            }
        )
        self.fusion = MultiGrainedFusion(len(self.modalities), *size, config.fusion_layers, config.dropout)
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(len(self.modalities) * config.hidden, len(task.labels))

    def forward(self, batch: DialogueBatch, across: Reduction = ALONE) -> Output:
        """Logits [B, T, C], the classification loss, and how much each modality is attended to in the fusion."""
        vectors, present = self.inputs(batch)
        states = []
        for m in self.modalities:
            padded = batch.padded(self.projections[m](vectors[m]))
            states.append(batch.flat(self.transformers[m](padded, batch.present[m])))
        fused, weights = self.fusion(torch.stack(states), present.bool())
        return self.classified(self.classifier(self.dropout(fused)), batch, diagnostics={"fusion_weights": weights})


class MultiGrainedFusion(nn.Module):
    """A gate for every neuron, then attention between the modalities' vectors."""

    def __init__(self, modalities: int, width: int, heads: int, feed_forward: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.gate = nn.Linear(modalities * width, modalities * width)
        self.value = StackedLinear(modalities, width, width)
        self.layers = nn.ModuleList(TransformerLayer(width, heads, feed_forward, dropout) for _ in range(layers))

    def forward(self, states: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """States [M, N, H] and presence [M, N] -> [N, M * H], and the last layer's attention to each modality [N, M].

        It is the mean over heads and present modalities, and sums to 1 where there is any.
        """
        here = present.T
        seen = states.transpose(0, 1) * here.unsqueeze(-1)
        gates = torch.sigmoid(self.gate(seen.flatten(1))).view_as(seen)
        fused = gates * torch.tanh(self.value(states)).transpose(0, 1) * here.unsqueeze(-1)
        for layer in self.layers:
            fused, weights = layer(fused, here)
        heard = (weights.mean(1) * here.unsqueeze(-1)).sum(1) / here.sum(1, keepdim=True).clamp_min(1)
        return (fused * here.unsqueeze(-1)).flatten(1), heard
