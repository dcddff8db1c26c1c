"""What TFN, LMF and MFN share: a vector for each modality, a classifier on their fusion, the loss. No model of its own.

    z = fusion of y_m over the modalities m    logits = U z + c
    L = mean of -w_y (1 - p_y)^gamma log p_y, not divided by the class weights w

y_m is in dferc/layers/extended_projection.py. The papers are about the sentiment of one utterance, of which they read
words, frames and sound; these are the adaptations to emotion in conversation that MM-DFN is compared with, over one
vector an utterance and modality. Source of the defaults: zerohd4869/MM-DFN, code/model_fusion.py, model.py,
run_train_erc.py [code]. Its scripts train MM-DFN itself; whether its settings were also those of its baselines is not
said, so the recipes are MM-DFN's [ours]. Speakers are not looked at.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, cast

from pydantic import Field
from torch import Tensor, nn

from dferc.corpus.batch import DialogueBatch
from dferc.layers.extended_projection import ExtendedProjection
from dferc.layers.losses import focal
from dferc.layers.reduction import ALONE, Reduction
from dferc.models.base import ModelConfig, Output, Task
from dferc.models.feature_model import FeatureConfig, FeatureModel


class FusionConfig(FeatureConfig):
    """Settings that TFN, LMF and MFN share."""

    projected_width: int = Field(200, ge=1, description="of each modality's projection [code]")
    extra_width: int = Field(100, ge=1, description="of the second map, which stands before the projection [code]")
    dropout: float = Field(0.4, ge=0, lt=1, description="before the classifier [code: as MM-DFN's]")
    focal_gamma: float = Field(0.5, ge=0, description="exponent of the focal loss [code: 0.5 or 1, as MM-DFN's]")


class ProductConfig(FusionConfig):
    """Settings that TFN and LMF share: each modality's h, of which they multiply the channels."""

    hidden: int = Field(100, ge=1, description="width of each modality's h [code]")
    hidden_text: int | None = Field(None, ge=1, description="that of the text, where it is another; null: hidden")
    hidden_audio: int | None = Field(None, ge=1, description="that of audio")
    hidden_visual: int | None = Field(None, ge=1, description="that of visual")
    fused_width: int = Field(300, ge=1, description="of what the classifier sees [code: output_dim]")

    def hidden_of(self, modality: str) -> int:
        """Width of a modality's h; one of another name has that of all."""
        return getattr(self, f"hidden_{modality}", None) or self.hidden


class FusionModel(FeatureModel):
    """Base of TFN, LMF and MFN."""

    causal: ClassVar[bool] = True
    prefers: ClassVar[tuple[str, ...]] = ("audio", "visual", "text")
    recipes: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        corpus: {"learning_rate": rate, "weight_decay": 1e-4, "batch_dialogues": 32, "epochs": 30, "patience": 5}
        for corpus, rate in (("iemocap", 3e-4), ("meld", 5e-4))
    }

    def __init__(self, config: ModelConfig, task: Task) -> None:
        super().__init__(config, task)
        shared = cast(FusionConfig, config)
        self.focal_gamma = shared.focal_gamma
        self.extended = ExtendedProjection(self.widths, shared.projected_width, shared.extra_width)
        self.dropout = nn.Dropout(shared.dropout)
        self.classifier = nn.Linear(self.fused_width(shared), len(task.labels))

    def fused_width(self, config: FusionConfig) -> int:
        """Width of what ``fused`` gives."""
        raise TypeError(f"{type(self).__name__} has no fusion")

    def fused(self, batch: DialogueBatch) -> Tensor:
        """z [N, F] of the utterances."""
        raise TypeError(f"{type(self).__name__} has no fusion")

    def forward(self, batch: DialogueBatch, across: Reduction = ALONE) -> Output:
        """Logits [B, T, C] and the classification loss."""
        logits = self.classifier(self.dropout(self.fused(batch)))
        return self.classified(logits, batch, {"classification": focal(logits, self.known(batch), self.focal_gamma)})

    def modality_vectors(self, batch: DialogueBatch) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Modality to y [N, D], and to its presence [N, 1] as 0 and 1."""
        vectors, present = self.inputs(batch)
        return self.extended(vectors), dict(zip(self.widths, present.unsqueeze(-1), strict=True))
