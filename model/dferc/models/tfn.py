"""TFN: all products of one channel from each modality, and a network over them.

    h_m = S_m y_m + s_m    z = relu(W2 relu(W1 vec([1 ; h_a] o [1 ; h_v] o [1 ; h_t]) + b1) + b2)    logits = U z + c

o is the outer product, in which the last modality's channels run fastest. The adaptation to conversations in MM-DFN's
repository: see fusion_model.py for y, the loss and the sources. The paper's subnetworks have hidden layers and read
the words with an LSTM; these are one linear map each [code]. W1 has a column for each product: 309 million weights at
the published sizes. Of an utterance without a modality h_m is 0 [ours].
"""

import math
from collections.abc import Mapping
from typing import Any, ClassVar, cast

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from dferc.corpus.batch import DialogueBatch
from dferc.layers.homogeneous import Homogeneous
from dferc.models.base import ModelConfig, Task
from dferc.models.fusion_model import FusionConfig, FusionModel, ProductConfig


class TFNConfig(ProductConfig):
    """Settings of TFN."""

    fusion_hidden: int = Field(300, ge=1, description="width of the layer on the products [code: post_fusion_dim]")
    fusion_dropout: float = Field(0.4, ge=0, lt=1, description="on the products [code]")


class TFN(FusionModel):
    """The fusion of Zadeh et al. (2017), as the MM-DFN release adapts it to conversations."""

    name: ClassVar[str] = "tfn"
    citation: ClassVar[str] = (
        "A. Zadeh, M. Chen, S. Poria, E. Cambria, L.-P. Morency. Tensor Fusion Network for Multimodal Sentiment "
        "Analysis. EMNLP 2017"
    )
    config_type: ClassVar[type[ModelConfig]] = TFNConfig
    small: ClassVar[Mapping[str, Any]] = {
        "projected_width": 6, "extra_width": 4, "hidden": 4, "fused_width": 12, "fusion_hidden": 12,
    }  # fmt: skip

    def __init__(self, config: ModelConfig, task: Task) -> None:
        super().__init__(config, task)
        config = cast(TFNConfig, config)
        hidden = {m: config.hidden_of(m) for m in self.widths}
        self.homogeneous = Homogeneous(self.extended.width, hidden)
        self.fusion_dropout = nn.Dropout(config.fusion_dropout)
        self.fusion1 = nn.Linear(math.prod(1 + width for width in hidden.values()), config.fusion_hidden)
        self.fusion2 = nn.Linear(config.fusion_hidden, config.fused_width)

    def fused_width(self, config: FusionConfig) -> int:
        """Set by the config."""
        return cast(TFNConfig, config).fused_width

    def fused(self, batch: DialogueBatch) -> Tensor:
        """z [N, F] of the utterances."""
        hidden = self.homogeneous(*self.modality_vectors(batch)).values()
        block = max(1, BLOCK // self.fusion1.in_features)
        parts = [self._made_again(*part) for part in zip(*(h.split(block) for h in hidden), strict=True)]
        return torch.relu(self.fusion2(torch.relu(torch.cat(parts))))

    def _made_again(self, *hidden: Tensor) -> Tensor:
        """As ``_of_products``, whose products are not kept for the backward pass."""
        mapped: Tensor = checkpoint(self._of_products, *hidden, use_reentrant=False)
        return mapped

    def _of_products(self, first: Tensor, *others: Tensor) -> Tensor:
        """[1 ; h] of each modality [N, 1 + H] -> their products under the first map of the fusion [N, F]."""
        products = first
        for other in others:
            products = (products.unsqueeze(2) * other.unsqueeze(1)).flatten(1)
        mapped: Tensor = self.fusion1(self.fusion_dropout(products))
        return mapped


BLOCK = 2**27
"""Most products that are in memory at once, half a gigabyte of them: a batch of the release has ten times as many at
its sizes. Utterances beyond come in further blocks."""
