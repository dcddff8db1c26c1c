"""What models over frozen utterance vectors share: inputs, class weights, classification loss. No model of its own."""

from typing import ClassVar, Literal, cast

import torch
from pydantic import Field
from torch import Tensor

from dferc.corpus.published import IEMOCAP_LABELS
from dferc.layers.inputs import Inputs
from dferc.models.base import Model, ModelConfig, Task

IEMOCAP_SHARES = (0.086747, 0.144406, 0.227883, 0.160585, 0.127711, 0.252668)
"""Of happy, sad, neutral, angry, excited and frustrated among the 5,810 train utterances; most releases weigh a class
by one over its share [code: DialogueRNN, DialogueGCN, COSMIC, MMGCN]."""


class FeatureConfig(ModelConfig):
    """Settings that every model over utterance vectors has."""

    modalities: tuple[str, ...] | None = Field(
        None, description="which to use, in order; by default those that the paper uses and the corpus has"
    )
    standardise: bool = Field(
        True, description="shift and scale each input by its training mean and deviation [ours]; false for the release"
    )
    class_weights: Literal["published", "balanced", "none"] = Field(
        "published",
        description="of the cross-entropy: published, the release's on the six classes of IEMOCAP and none elsewhere; "
        "balanced, inverse frequency in train; none",
    )


class FeatureModel(Model):
    """Base of models over utterance vectors."""

    prefers: ClassVar[tuple[str, ...]] = ("text", "audio", "visual")
    """Modalities that the paper uses; where a corpus has none of them, all that it has are used."""
    iemocap_weights: ClassVar[tuple[float, ...]] = tuple(1 / share for share in IEMOCAP_SHARES)
    """Class weights of the release on IEMOCAP, in the order of ``IEMOCAP_LABELS``."""

    def __init__(self, config: ModelConfig, task: Task) -> None:
        super().__init__(config, task)
        shared = cast(FeatureConfig, config)
        preferred = tuple(m for m in self.prefers if m in task.widths)
        self.modalities = shared.modalities or preferred or tuple(task.widths)
        self.widths = {m: task.widths[m] for m in self.modalities}
        self.inputs = Inputs(list(self.widths.items()), dict(task.statistics), shared.standardise)
        self.register_buffer("class_weight", self._class_weight(shared, task))

    def _class_weight(self, config: FeatureConfig, task: Task) -> Tensor:
        if config.class_weights == "published" and task.labels == IEMOCAP_LABELS:
            return torch.tensor(self.iemocap_weights)
        if config.class_weights == "balanced":
            counts = torch.tensor(task.train_counts, dtype=torch.float).clamp_min(1)
            return counts.sum() / (len(counts) * counts)
        return torch.ones(len(task.labels))
