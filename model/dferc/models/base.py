"""What every model is: a typed config, a module from a batch to an output, a citation."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from dferc.corpus.batch import TEXT, DialogueBatch, Packer
from dferc.layers.reduction import ALONE, LossTerm, Reduction
from dferc.layers.utterances import Utterances


@dataclass(frozen=True)
class Task:
    """What a model must know of a corpus before it can be built."""

    widths: Mapping[str, int]
    """Width of each modality's vectors, in the order in which the model stacks them."""
    labels: tuple[str, ...]
    """Class names in order."""
    train_counts: tuple[int, ...]
    """Training utterances of each class."""
    statistics: Mapping[str, tuple[Tensor, Tensor]] = field(default_factory=dict)
    """Modality to mean and deviation [D] of its training vectors, for models that standardise."""


@dataclass(frozen=True)
class Output:
    """What a model says of a batch."""

    logits: Tensor
    """[B, T, C]; anything at padding."""
    losses: dict[str, LossTerm] = field(default_factory=dict)
    """Every loss, unweighted; empty where the batch has no labels."""
    diagnostics: dict[str, Tensor] = field(default_factory=dict)
    """What a person would look at, by name, a value an utterance: [B, T] or [B, T, K]; detached."""


class ModelConfig(BaseModel):
    """Every hyperparameter of a model, with its default and where the default comes from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def vectors(self) -> tuple[str, ...] | None:
        """Modalities whose vectors the model needs of a corpus; None: those that there are."""
        return getattr(self, "modalities", None) or None


def without_text(modalities: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """Those whose vectors are still needed by a model that reads the text itself."""
    return None if modalities is None else tuple(name for name in modalities if name != TEXT)


class Model(nn.Module):
    """Base of every registered model."""

    name: ClassVar[str]
    """What configs and search spaces call it; search_spaces/NAME.yaml holds its search space."""
    citation: ClassVar[str]
    """Authors, title, venue, identifier."""
    config_type: ClassVar[type[ModelConfig]]
    recipes: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Corpus to the settings that were published for it, of model and training, by their short names."""
    small: ClassVar[Mapping[str, Any]]
    """Settings that make it small: for tests, and for trying a study before it is run in earnest."""
    causal: ClassVar[bool] = False
    """Whether it claims that what comes later in a dialogue changes nothing before it."""
    modalities: tuple[str, ...]
    """Names of the modalities in use, in the order in which they are stacked."""
    class_weight: Tensor
    """[C] weight of each class in the cross-entropy."""

    def __init__(self, config: ModelConfig, task: Task) -> None:
        super().__init__()

    def loss_weights(self) -> Mapping[str, float | Tensor]:
        """Weight of each loss in the objective, by the names in ``Output.losses``; a loss that is not here weighs 1.

        A weight that is learned is a tensor [].
        """
        return {}

    def encoder_parameters(self) -> list[nn.Parameter]:
        """Parameters of a pretrained encoder, which learn at their own rate."""
        return []

    def text_packer(self) -> Packer | None:
        """What turns transcripts into sub-tokens, where the model reads them itself."""
        return None

    def known(self, batch: DialogueBatch) -> Utterances:
        """Labels and presence of the real utterances; of text that the model reads itself every one has some."""
        present = torch.stack([batch.flat(batch.present.get(m, batch.mask)) for m in self.modalities]).float()
        return Utterances.of(batch, present, self.class_weight)

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

    def forward(self, batch: DialogueBatch, across: Reduction = ALONE) -> Output:
        """Pure tensor function of the batch: no loop over utterances, no copy to the host."""
        raise TypeError(f"{type(self).__name__} has no forward pass")


def objective(model: Model, output: Output, across: Reduction = ALONE) -> tuple[Tensor, dict[str, Tensor]]:
    """This worker's share [] of the weighted sum of all losses, and its share of each loss, detached."""
    weights = model.loss_weights()
    shares = {name: term.share(across) for name, term in output.losses.items()}
    total = torch.stack([weights.get(name, 1.0) * share for name, share in shares.items()]).sum()
    return total, {name: share.detach() for name, share in shares.items()}
