"""What CMN and ICON share: a query, two histories read by GRUs, hops over a memory, a classifier. No model of its own.

    q = tanh(W x + b)    h_own = GRU_own(own history)    h_other = GRU_other(other history)    logits = V q' + d

x are the vectors of all modalities side by side; q' is q after the hops, which each model has its own of. A history is
those of the last K utterances that the speaker of the query said, or that anybody else did: the papers know two
speakers, and nothing here asks whether there are more. Nothing after the query is seen.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from dferc.corpus.batch import DialogueBatch
from dferc.layers.attention import masked_softmax
from dferc.layers.history import History
from dferc.layers.parallel_gru import Kernel, ParallelGRU
from dferc.layers.reduction import ALONE, LossTerm, Reduction
from dferc.models.base import ModelConfig, Output, Task
from dferc.models.feature_model import FeatureConfig, FeatureModel


class DyadicMemoryConfig(FeatureConfig):
    """Settings that CMN and ICON share."""

    history: int = Field(40, ge=1, description="utterances before the query that are remembered [code: timesteps]")
    hidden: int = Field(100, ge=1, description="width of the query, of all GRUs and memories [code: embedding_size]")
    hops: int = Field(3, ge=1, description="times that the query reads the memory [code]")
    squash: bool = Field(True, description="tanh of the scores before their softmax [code]; false: plain [paper]")
    dropout: float = Field(0.7, ge=0, lt=1, description="on states of local GRUs and on attention [code: keeps 0.3]")
    regulariser_weight: float = Field(0.001, ge=0, description="of the mean halved squared norm of weights [code]")


class DyadicMemoryModel(FeatureModel):
    """Base of CMN and ICON."""

    iemocap_weights: ClassVar[tuple[float, ...]] = (1.0,) * 6
    recipes: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        corpus: {
            "learning_rate": 1e-3,
            "weight_decay": 0.0,
            "gradient_clip": 40.0,
            "batch_dialogues": dialogues,
            "epochs": 10,
        }
        for corpus, dialogues in (("iemocap", 10), ("meld", 52))  # about the release's 512 utterances
    }
    small: ClassVar[Mapping[str, Any]] = {"history": 14, "hidden": 5, "hops": 2}

    def __init__(self, config: ModelConfig, task: Task) -> None:
        super().__init__(config, task)
        self.settings = config = cast(DyadicMemoryConfig, config)
        width = sum(self.widths.values())
        self.query = Kernel(width, config.hidden)
        self.local = ParallelGRU(("own", "other"), width, config.hidden)
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = Kernel(config.hidden, len(task.labels))
        for parameter in self.classifier.parameters():
            nn.init.normal_(parameter, std=0.01)  # [code: _init]

    def loss_weights(self) -> dict[str, float]:
        """The regulariser's."""
        return {"regulariser": self.settings.regulariser_weight}

    def forward(self, batch: DialogueBatch, across: Reduction = ALONE) -> Output:
        """Logits [B, T, C], the classification loss and the regulariser."""
        vectors = self.inputs.joined(batch)
        history = History.of(batch, self.settings.history)
        query = self.after_hops(torch.tanh(self.query(vectors)), self._read_histories(vectors, history), history)
        return self.classified(self.classifier(query), batch, {"regulariser": self._regulariser(batch)})

    def after_hops(self, query: Tensor, sides: Tensor, history: History) -> Tensor:
        """The query [N, H] when it has read the memory, which is made of the sides [2, N, S, H]: own and other."""
        raise TypeError(f"{type(self).__name__} has no memory")

    def attend(self, query: Tensor, keys: Tensor, values: Tensor, history: History) -> Tensor:
        """What a query [N, H] reads from values [..., N, S, H] at the filled slots, by its product with the keys."""
        scores = (keys @ query.unsqueeze(-1)).squeeze(-1)
        weights = masked_softmax(torch.tanh(scores) if self.settings.squash else scores, history.filled)
        read: Tensor = self.dropout(weights).unsqueeze(-2) @ values
        return read.squeeze(-2)

    def _read_histories(self, vectors: Tensor, history: History) -> Tensor:
        """States of the local GRUs [2, N, S, H], zero at the slots of the other side and at empty ones.

        An utterance's part in the gates is the same in every slot that it lies in, so it is computed once.
        """
        inputs = history.slotted(self.local.project(vectors.unsqueeze(0)))
        states: Tensor = self.dropout(self.local(inputs, history.sides))
        return states * history.sides.unsqueeze(-1)

    def _regulariser(self, batch: DialogueBatch) -> LossTerm:
        """Mean over weights of half their squared norm.

        Biases are left out but for the classifier's, whose name in the release escapes the filter [code]. Each worker
        counts it for its labelled utterances, so that all of them together count it once.
        """
        weights = [weight for name, weight in self.named_parameters() if not name.endswith("bias")]
        norms = [weight.square().sum() for weight in (*weights, self.classifier.bias)]
        labelled = self.known(batch).labelled.sum()
        return LossTerm(torch.stack(norms).mean() / 2 * labelled, labelled)
