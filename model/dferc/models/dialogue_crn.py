"""DialogueCRN: what was perceived of a dialogue and of its speaker is reasoned over in several turns.

    s = BiLSTM_s(x)    v = BiLSTM_v(x of the speaker alone)               perception, dferc/layers/perception.py
    q_0 = W_q b + c    q_l = turn of an LSTM and of attention over b      for b in s, v: dferc/layers/reasoning.py
    logits = W relu([q(v) ; q(s)]) + b
    L = mean of -w_y (1 - p_y)^gamma log p_y, not divided by the class weights w

W_q is shared by both banks, the LSTMs of the turns are not. x are the vectors of all modalities in use side by side.
Source of the defaults: zerohd4869/DialogueCRN, script/*.sh, run_train_ie.py, model.py, loss.py [code]; the turns are
those of IEMOCAP. A party's sequence is followed by zeros up to the end of its dialogue, even where a dialogue is alone,
and so it is here. Not here: the release's GRUs in place of LSTMs, which its scripts do not use.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, cast

import torch
from pydantic import Field
from torch import nn

from dferc.corpus.batch import DialogueBatch
from dferc.layers.losses import focal
from dferc.layers.perception import Perception
from dferc.layers.reasoning import Reasoning
from dferc.layers.reduction import ALONE, Reduction
from dferc.models.base import ModelConfig, Output, Task
from dferc.models.feature_model import FeatureConfig, FeatureModel


class DialogueCRNConfig(FeatureConfig):
    """Settings of DialogueCRN."""

    lstm_hidden: int = Field(100, ge=1, description="width of each direction [code: hidden_size; 128 on RoBERTa]")
    lstm_layers: int = Field(2, ge=1, description="layers of both BiLSTMs [code: base_layer; 1 on MELD]")
    situation_turns: int = Field(3, ge=0, description="turns of reasoning over the situation [code: step_s; 2 on MELD]")
    speaker_turns: int = Field(4, ge=0, description="turns over the speaker's states [code: step_p; 0 on MELD]")
    dropout: float = Field(0.2, ge=0, lt=1, description="between LSTM layers and before the classifier [code]")
    focal_gamma: float = Field(0.0, ge=0, description="exponent of the focal loss [code: gamma; 1 on MELD]")
    padding: Literal["exact", "released"] = Field(
        "exact", description="released: the backward LSTMs start in the padding behind short dialogues [code]"
    )


class DialogueCRN(FeatureModel):
    """The model of Hu et al. (2021)."""

    name: ClassVar[str] = "dialogue_crn"
    citation: ClassVar[str] = (
        "D. Hu, L. Wei, X. Huai. DialogueCRN: Contextual Reasoning Networks for Emotion Recognition in Conversations. "
        "ACL 2021"
    )
    config_type: ClassVar[type[ModelConfig]] = DialogueCRNConfig
    prefers: ClassVar[tuple[str, ...]] = ("text",)
    iemocap_weights: ClassVar[tuple[float, ...]] = (
        1 / 0.087178797, 1 / 0.145836136, 1 / 0.229786089, 1 / 0.148392305, 1 / 0.140051123, 1 / 0.24875555,
    )  # fmt: skip
    recipes: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "iemocap": {
            "learning_rate": 1e-4, "weight_decay": 2e-4, "batch_dialogues": 32, "epochs": 100, "patience": 20,
        },
        "meld": {
            "learning_rate": 5e-4, "weight_decay": 2e-4, "batch_dialogues": 32, "epochs": 100, "patience": 20,
            "lstm_layers": 1, "situation_turns": 2, "speaker_turns": 0, "focal_gamma": 1.0,
        },
    }  # fmt: skip
    small: ClassVar[Mapping[str, Any]] = {
        "lstm_hidden": 4, "lstm_layers": 1, "situation_turns": 2, "speaker_turns": 2,
    }  # fmt: skip

    def __init__(self, config: ModelConfig, task: Task) -> None:
        super().__init__(config, task)
        self.config = config = cast(DialogueCRNConfig, config)
        width = 2 * config.lstm_hidden
        self.perception = Perception(
            sum(self.widths.values()),
            config.lstm_hidden,
            config.lstm_layers,
            config.dropout,
            over_padding=config.padding == "released",
        )
        self.query = nn.Linear(width, 2 * width)
        self.situation = Reasoning(width, config.situation_turns)
        self.speaker = Reasoning(width, config.speaker_turns)
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(4 * width, len(task.labels))

    def forward(self, batch: DialogueBatch, across: Reduction = ALONE) -> Output:
        """Logits [B, T, C] and the classification loss."""
        situation, speaker = self.perception(self.inputs.joined(batch), batch)
        reasoned = [
            reasoning(self.query(bank), bank, batch)
            for reasoning, bank in ((self.speaker, speaker), (self.situation, situation))
        ]
        logits = self.classifier(self.dropout(torch.relu(torch.cat(reasoned, dim=-1))))
        loss = focal(logits, self.known(batch), self.config.focal_gamma)
        return self.classified(logits, batch, {"classification": loss})
