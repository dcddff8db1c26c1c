"""bc-LSTM: a bidirectional LSTM over the utterances of a dialogue, and a classifier on its states.

    h = BiLSTM_2(x)    [a_i = sum_j softmax_j(tanh((W h_i + b) . h_j)) h_j]    logits = V relu(U h + c) + d

x are the vectors of all modalities side by side. The attention in brackets is an option. Speakers are not looked at.
Source of the defaults: declare-lab/conv-emotion, bc-LSTM-pytorch [code]. The paper first trains one LSTM a modality and
then another over their outputs; the release does not, and nor does this. The recipe for MOSI has the sizes
and dropouts of the paper's own older release (declare-lab/contextual-utterance-level-multimodal-sentiment-analysis,
lstm.py [code]), which learns by Adadelta on vectors as they are; ours by AdamW on standardised ones [ours].
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, cast

import torch
from pydantic import Field
from torch import nn

from dferc.corpus.batch import DialogueBatch
from dferc.layers.attention import DialogueAttention
from dferc.layers.recurrent import DialogueLSTM
from dferc.layers.reduction import ALONE, Reduction
from dferc.models.base import ModelConfig, Output, Task
from dferc.models.feature_model import FeatureConfig, FeatureModel


class BcLSTMConfig(FeatureConfig):
    """Settings of bc-LSTM."""

    lstm_hidden: int = Field(100, ge=1, description="width of each direction [code: D_e]")
    lstm_layers: int = Field(2, ge=1, description="layers of the BiLSTM [code]")
    hidden: int = Field(100, ge=1, description="width of the layer before the classifier [code: D_h]")
    dropout: float = Field(0.25, ge=0, lt=1, description="before the classifier and between LSTM layers [code]")
    input_dropout: float = Field(0.0, ge=0, lt=1, description="of the vectors [code: none; 0.4 for MOSI]")
    context_dropout: float = Field(0.0, ge=0, lt=1, description="behind the LSTM [code: none; 0.9 for MOSI]")
    attention: bool = Field(False, description="attend to the whole dialogue before the classifier [code: off]")
    padding: Literal["exact", "released"] = Field(
        "exact", description="released: the backward LSTM starts in the padding behind short dialogues [code]"
    )


class BcLSTM(FeatureModel):
    """The model of Poria et al. (2017), in the form of its PyTorch release."""

    name: ClassVar[str] = "bc_lstm"
    citation: ClassVar[str] = (
        "S. Poria, E. Cambria, D. Hazarika, N. Majumder, A. Zadeh, L.-P. Morency. Context-Dependent Sentiment Analysis "
        "in User-Generated Videos. ACL 2017"
    )
    config_type: ClassVar[type[ModelConfig]] = BcLSTMConfig
    iemocap_weights: ClassVar[tuple[float, ...]] = (1.0, 0.60072, 0.38066, 0.54019, 0.67924, 0.34332)
    recipes: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        **{
            corpus: {"learning_rate": 1e-4, "weight_decay": 1e-5, "batch_dialogues": 32, "epochs": 60}
            for corpus in ("iemocap", "meld")
        },
        "mosi": {
            "lstm_hidden": 300, "lstm_layers": 1, "hidden": 500, "dropout": 0.9, "input_dropout": 0.4,
            "context_dropout": 0.9, "batch_dialogues": 10, "patience": 10, "weight_decay": 0.0, "learning_rate": 1e-3,
            "epochs": 60,
        },
    }  # fmt: skip
    small: ClassVar[Mapping[str, Any]] = {"lstm_hidden": 6, "hidden": 8, "attention": True}

    def __init__(self, config: ModelConfig, task: Task) -> None:
        super().__init__(config, task)
        config = cast(BcLSTMConfig, config)
        width = sum(self.widths.values())
        self.input_dropout = nn.Dropout(config.input_dropout)
        self.context = DialogueLSTM(
            width,
            config.lstm_hidden,
            config.lstm_layers,
            layer_dropout=config.dropout,
            over_padding=config.padding == "released",
        )
        self.attention = DialogueAttention(2 * config.lstm_hidden, squash=True) if config.attention else None
        self.context_dropout = nn.Dropout(config.context_dropout)
        self.hidden = nn.Linear(2 * config.lstm_hidden, config.hidden)
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(config.hidden, len(task.labels))

    def forward(self, batch: DialogueBatch, across: Reduction = ALONE) -> Output:
        """Logits [B, T, C] and the classification loss."""
        states = self.context_dropout(self.context(self.input_dropout(self.inputs.joined(batch)), batch))
        if self.attention is not None:
            states, _ = self.attention(states, batch)
        hidden = self.dropout(torch.relu(self.hidden(states)))
        return self.classified(self.classifier(hidden), batch)
