"""DialogueRNN: a state for each party, a global state and an emotion state, carried through the dialogue.

The recurrence is that of dferc/layers/dialogue_recurrence.py, run forwards and backwards. Then, with e_t both emotion
states of an utterance:

    a_t = sum_j softmax_j((W e_t + b) . e_j) e_j    logits = V relu(U a_t + c) + d

Source of the defaults: declare-lab/conv-emotion, DialogueRNN [code]. Where paper and release differ: the attention over
the dialogue has a bias in the release, and it weighs the loss by class on IEMOCAP. An active listener hears the
utterance and the speaker's new state in the release, which is what is here; in the paper (Section 3.3) it sees the
listener's own face and the context, and no corpus has a listener's face. Of the paper's variants, the release has and
this is BiDialogueRNN, with or without attention.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, cast

import torch
from pydantic import Field
from torch import nn

from dferc.corpus.batch import DialogueBatch
from dferc.layers.attention import DialogueAttention
from dferc.layers.dialogue_recurrence import DialogueRecurrence
from dferc.layers.earlier import Kind
from dferc.layers.reduction import ALONE, Reduction
from dferc.models.base import ModelConfig, Output, Task
from dferc.models.feature_model import FeatureConfig, FeatureModel


class DialogueRNNConfig(FeatureConfig):
    """Settings of DialogueRNN."""

    global_width: int = Field(500, ge=1, description="width of the global state in each direction [code: D_g]")
    party_width: int = Field(500, ge=1, description="width of a party's state in each direction [code: D_p]")
    emotion_width: int = Field(300, ge=1, description="width of the emotion state in each direction [code: D_e]")
    hidden: int = Field(600, ge=1, description="width of the layer before the classifier [code: 2 D_h]")
    context_attention: Kind = Field(
        "general",
        description="scores of earlier global states: simple, of the state alone; general, of state and utterance; "
        "general2, the same with a bias [code: general]",
    )
    active_listener: bool = Field(False, description="listeners' states follow what is said [code: off]")
    attention: bool = Field(True, description="attend to the whole dialogue before the classifier [code: att2]")
    recurrent_dropout: float = Field(0.1, ge=0, lt=1, description="on each new state of the recurrence [code]")
    emotion_dropout: float = Field(
        0.25, ge=0, lt=1, description="on the emotion states [code: dropout + 0.15, whatever dropout is]"
    )
    dropout: float = Field(0.1, ge=0, lt=1, description="before the classifier [code]")


class DialogueRNN(FeatureModel):
    """The model of Majumder et al. (2019), BiDialogueRNN with attention."""

    name: ClassVar[str] = "dialogue_rnn"
    citation: ClassVar[str] = (
        "N. Majumder, S. Poria, D. Hazarika, R. Mihalcea, A. Gelbukh, E. Cambria. DialogueRNN: An Attentive RNN for "
        "Emotion Detection in Conversations. AAAI 2019. arXiv:1811.00405"
    )
    config_type: ClassVar[type[ModelConfig]] = DialogueRNNConfig
    recipes: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "iemocap": {"learning_rate": 1e-4, "weight_decay": 1e-5, "batch_dialogues": 30, "epochs": 60},
        "meld": {
            "learning_rate": 5e-4,
            "weight_decay": 1e-5,
            "batch_dialogues": 30,
            "epochs": 100,
            "global_width": 150,
            "party_width": 150,
            "emotion_width": 100,
            "hidden": 200,
        },
    }
    small: ClassVar[Mapping[str, Any]] = {
        "global_width": 6,
        "party_width": 5,
        "emotion_width": 4,
        "hidden": 8,
        "active_listener": True,
    }

    def __init__(self, config: ModelConfig, task: Task) -> None:
        super().__init__(config, task)
        config = cast(DialogueRNNConfig, config)
        self.recurrence = DialogueRecurrence(
            sum(self.widths.values()),
            config.global_width,
            config.party_width,
            config.emotion_width,
            config.context_attention,
            config.active_listener,
            config.recurrent_dropout,
        )
        self.emotion_dropout = nn.Dropout(config.emotion_dropout)
        self.attention = DialogueAttention(2 * config.emotion_width, squash=False) if config.attention else None
        self.hidden = nn.Linear(2 * config.emotion_width, config.hidden)
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(config.hidden, len(task.labels))

    def forward(self, batch: DialogueBatch, across: Reduction = ALONE) -> Output:
        """Logits [B, T, C] and the classification loss."""
        emotions, _ = self.recurrence(self.inputs.joined(batch), batch)
        emotions = self.emotion_dropout(emotions)
        if self.attention is not None:
            emotions, _ = self.attention(emotions, batch)
        hidden = self.dropout(torch.relu(self.hidden(emotions)))
        return self.classified(self.classifier(hidden), batch)
