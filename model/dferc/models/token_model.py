"""What models share that read the transcripts through a transformer of their own. No model of its own."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, cast

import torch
from pydantic import Field
from torch import Tensor

from dferc.corpus.batch import TEXT, DialogueBatch
from dferc.layers.reduction import LossTerm
from dferc.layers.utterances import Utterances
from dferc.models.base import Model, ModelConfig, Output, Task

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
    class_weight: Tensor

    def __init__(self, config: ModelConfig, task: Task) -> None:
        super().__init__(config, task)
        self.modalities = (TEXT,)
        self.register_buffer("class_weight", torch.ones(len(task.labels)))
        self.pretrained = False

    def load(self, config: ModelConfig) -> "Backbone":
        """The backbone that the config names; the library is imported only here, for it takes seconds to load."""
        from dferc.encoders.backbone import load_backbone

        shared = cast(TokenConfig, config)
        backbone = load_backbone(shared.backbone, self.kind, shared.max_tokens, self.needs)
        self.pretrained = backbone.pretrained
        if shared.gradient_checkpointing:
            backbone.transformer.activation_checkpointing_enable()
        return backbone

    def classified(
        self,
        logits: Tensor,
        batch: DialogueBatch,
        losses: Mapping[str, LossTerm] | None = None,
        diagnostics: Mapping[str, Tensor] | None = None,
    ) -> Output:
        """The output for logits [N, C]: cross-entropy beside other losses; diagnostics are [N, ...]."""
        seen = {} if self.training else {n: batch.padded(v.detach()) for n, v in (diagnostics or {}).items()}
        classification = self.known(batch).cross_entropy(logits)
        return Output(batch.padded(logits), {"classification": classification, **(losses or {})}, seen)

    def known(self, batch: DialogueBatch) -> Utterances:
        """Labels of the real utterances; every one has its text."""
        return Utterances.of(batch, batch.flat(batch.mask).float().unsqueeze(0), self.class_weight)
