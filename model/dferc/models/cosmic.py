"""COSMIC: DialogueRNN's states, told what follows from each utterance by a model of commonsense.

    x = V mean_k(norm_k(t_k)) + b          t_k the utterance in RoBERTa's last four layers
    e = [recurrence forwards ; recurrence backwards]                dferc/layers/commonsense_recurrence.py
    [e_t <- sum_j softmax_j(tanh((W e_t + b) . e_j)) e_j]    logits = V relu(U e_t + c [+ x]) + d

What follows, COMET says, in vectors that are columns of the corpus: the speaker's intent (``comet_xintent``), the
effect on the speaker and on others (``comet_xeffect``, ``comet_oeffect``), the reaction of both (``comet_xreact``,
``comet_oreact``). The other four relations of the release's files are not used, there or here. A relation that the
corpus lacks counts as zeros: without any, what is left is DialogueRNN with more states, and not COSMIC. Of the text
layers those that the corpus has are averaged. Further modalities, which the paper does not use, stand beside them.

Source of the defaults: declare-lab/conv-emotion, COSMIC/erc-training, by the commands of its README [code]. There batch
norm also counts the padding of a batch, so a prediction in training depends on it: ``padding``. The release's means
over weighted or single layers, and its layer norms, which no published command uses, are not here.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from dferc.corpus.batch import DialogueBatch
from dferc.errors import UserError
from dferc.layers.attention import DialogueAttention
from dferc.layers.batch_norm import UtteranceNorm
from dferc.layers.commonsense_recurrence import INFERENCES, CommonsenseRecurrence
from dferc.layers.earlier import Kind
from dferc.layers.reduction import ALONE, Reduction
from dferc.models.base import ModelConfig, Output, Task
from dferc.models.feature_model import FeatureConfig, FeatureModel

TEXT_LAYERS = ("text", "text_layer2", "text_layer3", "text_layer4")
COMET = dict(
    zip(INFERENCES, ("comet_xintent", "comet_xeffect", "comet_xreact", "comet_oeffect", "comet_oreact"), strict=True)
)
"""What is asked of COMET to the modality that answers."""


class CosmicConfig(FeatureConfig):
    """Settings of COSMIC."""

    class_weights: Literal["published", "balanced", "none"] = Field(
        "none",
        description="of the cross-entropy: none [code: without its flag]; published, those of the flag; balanced",
    )
    normalise: Literal["batch", "none"] = Field("batch", description="of each text layer [code: batch, none on MELD]")
    padding: Literal["exact", "released"] = Field(
        "exact", description="released: batch norm counts padding as utterances of zeros [code]"
    )
    global_width: int = Field(150, ge=1, description="width of the global state in each direction [code: D_g]")
    internal_width: int = Field(150, ge=1, description="width of a party's internal state [code: D_p]")
    external_width: int = Field(150, ge=1, description="width of a party's external state [code: D_r]")
    intent_width: int = Field(150, ge=1, description="width of a party's intent [code: D_i]")
    emotion_width: int = Field(450, ge=1, description="width of the emotion state [code: D_e = D_p + D_r + D_i]")
    hidden: int = Field(100, ge=1, description="width of x and of the layer before the classifier [code: D_h]")
    context_attention: Kind = Field(
        "general2",
        description="scores of earlier global states: simple, of the state alone; general, of state and utterance; "
        "general2, the tanh of the same with a bias [code: general2, simple on MELD]",
    )
    active_listener: bool = Field(True, description="listeners' states follow what is said [code: on by README]")
    attention: bool = Field(True, description="attend to the dialogue before the classifier [code: off on MELD]")
    residual: bool = Field(False, description="add x to the layer before the classifier [code: off on both]")
    recurrent_dropout: float = Field(
        0.1, ge=0, lt=1, description="on each new state of the recurrence, and on the emotion states after it [code]"
    )
    dropout: float = Field(0.25, ge=0, lt=1, description="before the classifier [code]")


class Cosmic(FeatureModel):
    """The model of Ghosal et al. (2020)."""

    name: ClassVar[str] = "cosmic"
    citation: ClassVar[str] = (
        "D. Ghosal, N. Majumder, A. Gelbukh, R. Mihalcea, S. Poria. COSMIC: COmmonSense knowledge for eMotion "
        "Identification in Conversations. Findings of EMNLP 2020. arXiv:2010.02795"
    )
    config_type: ClassVar[type[ModelConfig]] = CosmicConfig
    prefers: ClassVar[tuple[str, ...]] = (*TEXT_LAYERS, *COMET.values())
    recipes: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "iemocap": {"learning_rate": 1e-4, "weight_decay": 3e-4, "batch_dialogues": 16, "epochs": 60},
        "meld": {
            "learning_rate": 1e-4,
            "weight_decay": 3e-5,
            "batch_dialogues": 8,
            "epochs": 60,
            "normalise": "none",
            "context_attention": "simple",
            "attention": False,
            "recurrent_dropout": 0.3,
            "dropout": 0.5,
        },
    }
    small: ClassVar[Mapping[str, Any]] = {
        "global_width": 6,
        "internal_width": 5,
        "external_width": 4,
        "intent_width": 3,
        "emotion_width": 6,
        "hidden": 8,
        "residual": True,
    }

    def __init__(self, config: ModelConfig, task: Task) -> None:
        super().__init__(config, task)
        config = cast(CosmicConfig, config)
        self.over_padding = config.padding == "released"
        self.layers = [name for name in self.modalities if name in TEXT_LAYERS]
        self.beside = [name for name in self.modalities if name not in (*TEXT_LAYERS, *COMET.values())]
        text = self._text_width()
        self.norm = UtteranceNorm(len(self.layers), text) if config.normalise == "batch" and self.layers else None
        self.projection = nn.Linear(text + sum(self.widths[name] for name in self.beside), config.hidden)
        self.recurrence = CommonsenseRecurrence(
            config.hidden,
            {inference: self.widths.get(name, 0) for inference, name in COMET.items()},
            {
                "global": config.global_width,
                "internal": config.internal_width,
                "external": config.external_width,
                "intent": config.intent_width,
                "emotion": config.emotion_width,
            },
            config.context_attention,
            config.active_listener,
            config.recurrent_dropout,
        )
        self.emotion_dropout = nn.Dropout(config.recurrent_dropout)
        self.attention = DialogueAttention(2 * config.emotion_width, squash=True) if config.attention else None
        self.hidden = nn.Linear(2 * config.emotion_width, config.hidden)
        self.residual = config.residual
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(config.hidden, len(task.labels))

    def forward(self, batch: DialogueBatch, across: Reduction = ALONE) -> Output:
        """Logits [B, T, C] and the classification loss."""
        utterances, inferred = self.read(batch, across)
        emotions = self.emotion_dropout(self.recurrence(utterances, inferred, batch))
        if self.attention is not None:
            emotions, _ = self.attention(emotions, batch)
        hidden = self.dropout(torch.relu(self.hidden(emotions)))
        return self.classified(self.classifier(hidden + utterances if self.residual else hidden), batch)

    def read(self, batch: DialogueBatch, across: Reduction) -> tuple[Tensor, dict[str, Tensor]]:
        """Utterances x [N, hidden], and what COMET inferred of each [N, K], of no width where the corpus lacks it."""
        vectors, present = self.inputs(batch)
        nothing = present.new_zeros(present.shape[1], 0)
        parts = [vectors[name] for name in self.beside]
        if self.layers:
            layers = torch.stack([vectors[name] for name in self.layers])
            here = torch.stack([present[self.modalities.index(name)] for name in self.layers])
            parts = [self._normalised(layers, here, batch, across).mean(0), *parts]
        inferred = {inference: vectors.get(name, nothing) for inference, name in COMET.items()}
        return self.projection(torch.cat([nothing, *parts], dim=-1)), inferred

    def _normalised(self, layers: Tensor, present: Tensor, batch: DialogueBatch, across: Reduction) -> Tensor:
        """[L, N, D], still zero where missing."""
        if self.norm is None:
            return layers
        padding = batch.mask.numel() - len(batch.valid) if self.over_padding else 0
        normalised: Tensor = self.norm(layers, present, across, zeros=padding)
        return normalised * present.unsqueeze(-1)

    def _text_width(self) -> int:
        """Of the text layers, 0 where there are none."""
        widths = {self.widths[name] for name in self.layers}
        if len(widths) > 1:
            named = ", ".join(f"{name} ({self.widths[name]})" for name in self.layers)
            raise UserError(f"cosmic averages text layers, so their vectors must be equally wide; they are {named}")
        return max(widths, default=0)
