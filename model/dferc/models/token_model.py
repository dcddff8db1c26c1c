"""What models share that read the transcripts through a transformer of their own. No model of its own."""

from typing import TYPE_CHECKING, ClassVar, cast

import torch
from pydantic import Field

from dferc.corpus.batch import TEXT
from dferc.models.base import Model, ModelConfig, Task

if TYPE_CHECKING:
    from dferc.encoders.backbone import Backbone, Kind


class TokenConfig(ModelConfig):
    """Settings that every model over sub-tokens has; each model says its own published backbone and length."""

    backbone: str
    max_tokens: int = Field(512, ge=8, description="most sub-tokens of a sequence; what is longer is cut [code]")
    gradient_checkpointing: bool = Field(
        False, description="compute the backbone's states again in the backward pass: less memory, more time [ours]"
    )


class TokenModel(Model):
    """Base of models over sub-tokens; classification is not weighted by class, as in no release of them."""

    kind: ClassVar["Kind"] = "encoder"
    """What the backbone must be."""
    needs: ClassVar[tuple[str, ...]] = ("cls", "sep")
    """Special sub-tokens that the model puts into its sequences."""

    def __init__(self, config: ModelConfig, task: Task) -> None:
        super().__init__(config, task)
        self.modalities = (TEXT,)
        self.register_buffer("class_weight", torch.ones(len(task.labels)))
        self.pretrained = False

    def load(self, config: ModelConfig) -> "Backbone":
        """The backbone that the config names; the library is imported only here, for it takes seconds to load."""
        from dferc.encoders.backbone import load_backbone

        shared = cast(TokenConfig, config)
        backbone = load_backbone(
            shared.backbone, self.kind, shared.max_tokens, self.needs, shared.gradient_checkpointing
        )
        self.pretrained = backbone.pretrained
        return backbone
