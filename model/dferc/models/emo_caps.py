"""EmoCaps: an Emoformer for each modality gives its emotion vector; a BiLSTM reads the capsules of a dialogue.

    z_m = Encoder_m(P_m x_m)    g_m^0 = z_m    g_m^k = relu(W_mk g_m^(k-1) + b_mk), k = 1..5    e_m = [z_m ; g_m^5]
    capsule = [x_text ; e_text ; e_audio ; e_visual]
    h = BiLSTM_2(capsule)    logits = V relu(U h + c) + d

Encoder as in ``dferc.layers.transformer``. Speakers are not looked at. Loss: cross-entropy without class weights.

Reinterpretation: no code of the Emoformer is known. What is known, and whence:

- [code] the paper's attachment in the ACL Anthology, read in a public copy (first commit of Jing-yilin/EmoCaps-FFN,
  99787ddf), is by its own words a part, for IEMOCAP. It holds the last line alone, over ready-made vectors of 456
  numbers (text, visual, audio): the layers and the loss of bc-LSTM's release, so the reference vectors of that release
  hold for ``ContextAnalysis``. Class weights and attention are off unless a flag is given; attention is not here;
- [recalled] of the paper, not checked against its text, of which only the abstract was at hand: an encoder of
  self-attention with residuals, a mapping network of five layers whose input is joined to its output, the capsule;
- [ours] the sizes, P_m, ReLU between the five layers, that self-attention runs over the utterances of a dialogue (with
  one vector an utterance there is nothing else to run over), one dropout for all, and training in one piece, where the
  attachment starts from vectors that were made before.

Without text the capsule is the emotion vectors alone.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self, cast

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from dferc.corpus.batch import TEXT, DialogueBatch
from dferc.layers.recurrent import DialogueLSTM
from dferc.layers.reduction import ALONE, Reduction
from dferc.layers.transformer import Encoder
from dferc.models.base import ModelConfig, Output, Task
from dferc.models.feature_model import FeatureConfig, FeatureModel


class EmoCapsConfig(FeatureConfig):
    """Settings of EmoCaps."""

    encoder_width: int = Field(128, ge=1, description="width inside each Emoformer [ours]")
    heads: int = Field(4, ge=1, description="attention heads; they must divide encoder_width [ours]")
    feedforward: int = Field(256, ge=1, description="width of the hidden layer inside an encoder layer [ours]")
    encoder_layers: int = Field(1, ge=1, description="encoder layers of each Emoformer [ours]")
    mapping_layers: int = Field(5, ge=1, description="layers of the mapping network [recalled of the paper]")
    lstm_hidden: int = Field(100, ge=1, description="width of each direction [code: D_e]")
    lstm_layers: int = Field(2, ge=1, description="layers of the BiLSTM [code]")
    hidden: int = Field(100, ge=1, description="width of the layer before the classifier [code: D_h]")
    dropout: float = Field(
        0.25, ge=0, lt=1, description="before the classifier and between LSTM layers [code]; in the encoders [ours]"
    )
    padding: Literal["exact", "released"] = Field(
        "exact", description="released: the backward LSTM starts in the padding behind short dialogues [code]"
    )

    @model_validator(mode="after")
    def _heads_divide(self) -> Self:
        if self.encoder_width % self.heads:
            raise ValueError(f"heads ({self.heads}) must divide encoder_width ({self.encoder_width})")
        return self


class Emoformer(nn.Module):
    """The emotion vector of one modality: its encoded utterances, and what a mapping network makes of them."""

    def __init__(self, width: int, config: EmoCapsConfig) -> None:
        """Make the layers for vectors of this width."""
        super().__init__()
        inner = config.encoder_width
        self.projection = nn.Linear(width, inner)
        self.encoder = Encoder(config.encoder_layers, inner, config.heads, config.feedforward, config.dropout)
        self.mapping = nn.ModuleList(nn.Linear(inner, inner) for _ in range(config.mapping_layers))

    def forward(self, vectors: Tensor, batch: DialogueBatch) -> Tensor:
        """[N, D] -> [N, 2 * encoder_width]."""
        encoded = mapped = self.encoder(self.projection(vectors), batch)
        for layer in self.mapping:
            mapped = torch.relu(layer(mapped))
        return torch.cat([encoded, mapped], dim=-1)


class ContextAnalysis(nn.Module):
    """Capsules to logits: what of the model was released."""

    def __init__(self, width: int, classes: int, config: EmoCapsConfig) -> None:
        """Make the layers for capsules of this width."""
        super().__init__()
        self.context = DialogueLSTM(
            width,
            config.lstm_hidden,
            config.lstm_layers,
            layer_dropout=config.dropout,
            over_padding=config.padding == "released",
        )
        self.hidden = nn.Linear(2 * config.lstm_hidden, config.hidden)
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(config.hidden, classes)

    def forward(self, capsules: Tensor, batch: DialogueBatch) -> Tensor:
        """[N, D] -> [N, C]."""
        states = self.context(capsules, batch)
        logits: Tensor = self.classifier(self.dropout(torch.relu(self.hidden(states))))
        return logits


class EmoCaps(FeatureModel):
    """The model of Li et al. (2022); a reinterpretation but for its last stage."""

    name: ClassVar[str] = "emo_caps"
    citation: ClassVar[str] = (
        "Z. Li, F. Tang, M. Zhao, Y. Zhu. EmoCaps: Emotion Capsule based Model for Conversational Emotion Recognition. "
        "Findings of ACL 2022, 2022.findings-acl.126"
    )
    config_type: ClassVar[type[ModelConfig]] = EmoCapsConfig
    iemocap_weights: ClassVar[tuple[float, ...]] = (1.0,) * 6
    recipes: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "iemocap": {"learning_rate": 1e-4, "weight_decay": 1e-5, "batch_dialogues": 32, "epochs": 80}
    }
    small: ClassVar[Mapping[str, Any]] = {
        "encoder_width": 8, "heads": 2, "feedforward": 8, "mapping_layers": 2, "lstm_hidden": 6, "hidden": 8
    }  # fmt: skip

    def __init__(self, config: ModelConfig, task: Task) -> None:
        super().__init__(config, task)
        config = cast(EmoCapsConfig, config)
        self.emoformers = nn.ModuleDict({m: Emoformer(width, config) for m, width in self.widths.items()})
        capsule = self.widths.get(TEXT, 0) + 2 * config.encoder_width * len(self.modalities)
        self.analysis = ContextAnalysis(capsule, len(task.labels), config)

    def forward(self, batch: DialogueBatch, across: Reduction = ALONE) -> Output:
        """Logits [B, T, C] and the classification loss."""
        return self.classified(self.analysis(self.capsules(batch), batch), batch)

    def capsules(self, batch: DialogueBatch) -> Tensor:
        """Sentence vector and emotion vectors of each utterance side by side [N, D]."""
        vectors, _ = self.inputs(batch)
        sentence = [vectors[TEXT]] if TEXT in vectors else []
        emotions = [self.emoformers[m](vectors[m], batch) for m in self.modalities]
        return torch.cat([*sentence, *emotions], dim=-1)
