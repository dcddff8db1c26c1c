"""LMF: TFN's products over the modalities, with weights of low rank, so that no product is ever made.

    h_m = S_m y_m + s_m    z = sum_r w_r prod_m ([1 ; h_m] F_mr) + b    logits = U z + c

The product runs over channels that each modality has been mapped to. The adaptation to conversations in MM-DFN's
repository: see fusion_model.py for y, the loss and the sources. The paper's subnetworks have hidden layers and read
the words with an LSTM; these are one linear map each [code]. Of an utterance without a modality h_m is 0 [ours].
"""

from collections.abc import Mapping
from typing import Any, ClassVar, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from dferc.corpus.batch import DialogueBatch
from dferc.layers.homogeneous import Homogeneous
from dferc.models.base import ModelConfig, Task
from dferc.models.fusion_model import FusionConfig, FusionModel, ProductConfig


class LMFConfig(ProductConfig):
    """Settings of LMF."""

    hidden: int = Field(300, ge=1, description="width of each modality's h [code]")
    rank: int = Field(4, ge=1, description="terms of the sum over r [code]")


class LMF(FusionModel):
    """The fusion of Liu et al. (2018), as the MM-DFN release adapts it to conversations."""

    name: ClassVar[str] = "lmf"
    citation: ClassVar[str] = (
        "Z. Liu, Y. Shen, V. B. Lakshminarasimhan, P. P. Liang, A. Zadeh, L.-P. Morency. Efficient Low-rank Multimodal "
        "Fusion with Modality-Specific Factors. ACL 2018"
    )
    config_type: ClassVar[type[ModelConfig]] = LMFConfig
    small: ClassVar[Mapping[str, Any]] = {
        "projected_width": 6, "extra_width": 4, "hidden": 5, "fused_width": 8, "rank": 2,
    }  # fmt: skip

    def __init__(self, config: ModelConfig, task: Task) -> None:
        """Make the weights, with the initial values of the release."""
        super().__init__(config, task)
        config = cast(LMFConfig, config)
        hidden = {m: config.hidden_of(m) for m in self.widths}
        self.homogeneous = Homogeneous(self.extended.width, hidden)
        self.factors = nn.ParameterDict(
            {m: torch.empty(config.rank, 1 + width, config.fused_width) for m, width in hidden.items()}
        )
        self.rank_weight = nn.Parameter(torch.empty(1, config.rank))
        self.fusion_bias = nn.Parameter(torch.zeros(config.fused_width))
        for weight in (*self.factors.values(), self.rank_weight):
            nn.init.xavier_normal_(weight)

    def fused_width(self, config: FusionConfig) -> int:
        """Set by the config."""
        return cast(LMFConfig, config).fused_width

    def fused(self, batch: DialogueBatch) -> Tensor:
        """z [N, F] of the utterances."""
        hidden = self.homogeneous(*self.modality_vectors(batch))
        terms = torch.stack([h @ self.factors[m] for m, h in hidden.items()]).prod(0)
        return torch.einsum("r,rnf->nf", self.rank_weight.squeeze(0), terms) + self.fusion_bias
