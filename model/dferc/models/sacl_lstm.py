"""SACL-LSTM: two BiLSTMs that keep the classes apart, also where their weights are moved to do the most harm.

    h = [BiLSTM_s(x) ; BiLSTM_v(x of the speaker alone)]    v is zero for who speaks once    logits = W relu(h) + b
    L(theta) = mean of -w_y (1 - p_y)^gamma log p_y + c NT-Xent(h or log p), not divided by the class weights w
    objective = L(theta) + L'(theta*)    theta* = a + epsilon dL/da / |dL/da|, for each tensor a of those attacked

L' has its own c. Attacked are the input-to-hidden weights and biases of one layer of the LSTMs; they learn from L
alone, all else from both. Several workers attack along the gradient of their common loss. In evaluation L is all.
Perception and NT-Xent: dferc/layers/perception.py, nt_xent.py; the attack: fast_gradient.py.

Source of the defaults: zerohd4869/SACL, SACL-LSTM/script/*.sh, run_train_bert_ie.py, model.py, loss.py, at_training.py
[code]; they are those of IEMOCAP. The release sums over utterances, ``reduction: sum``, and clips no gradient; the mean
[ours] has the same direction of attack, and gradients of a size for which a limit on their norm has a sense.
A party's sequence is followed by zeros up to the end of its dialogue, as in DialogueCRN.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.func import functional_call

from dferc.corpus.batch import DialogueBatch
from dferc.errors import UserError
from dferc.layers.eager import eager
from dferc.layers.fast_gradient import attacked
from dferc.layers.losses import focal
from dferc.layers.nt_xent import nt_xent
from dferc.layers.perception import Perception
from dferc.layers.reduction import ALONE, LossTerm, Reduction
from dferc.models.base import ModelConfig, Output, Task, objective
from dferc.models.dialogue_crn import DialogueCRN
from dferc.models.feature_model import FeatureConfig, FeatureModel

ADVERSARIAL = "adversarial_"
NEVER = 1e6
"""A limit on the norm of gradients that is not met: the release has none."""
TARGETS = {"situation": ("situation",), "speaker": ("speaker.recurrent",), "both": ("situation", "speaker.recurrent")}
"""Modules of the perception that an attack can choose."""


class SaclLSTMConfig(FeatureConfig):
    """Settings of SACL-LSTM."""

    lstm_hidden: int = Field(128, ge=1, description="width of each direction [code: hidden_size]")
    lstm_layers: int = Field(2, ge=1, description="layers of both BiLSTMs [code: base_layer; 1 on MELD]")
    least_turns: int = Field(2, ge=1, description="who speaks less often has no speaker states [code: pl_min]")
    dropout: float = Field(0.2, ge=0, lt=1, description="between LSTM layers and before the classifier [code]")
    focal_gamma: float = Field(0.0, ge=0, description="exponent of the focal loss [code: gamma; 1 on MELD]")
    contrast_on: Literal["states", "log_probabilities"] = Field(
        "states", description="what NT-Xent compares [code: scl_hidden_flag; log_probabilities on MELD]"
    )
    contrast_weight: float = Field(0.05, ge=0, description="c of the loss as it is [code: scl_w; 0.1 on MELD]")
    temperature: float = Field(0.1, gt=0, description="of NT-Xent [code: scl_t, 0.1 or 1]")
    adversarial: bool = Field(True, description="whether there is an attack [code: adversary_flag]")
    epsilon: float = Field(5.0, gt=0, description="length of the move of each attacked tensor [code: at_epsilon]")
    adversarial_contrast_weight: float = Field(
        0.5, ge=0, description="c of the loss under attack [code: scl_w2; 0.05 on MELD]"
    )
    attack: Literal["situation", "speaker", "both"] = Field(
        "both", description="LSTMs that are attacked [code: both on IEMOCAP, drawn at each step on MELD, mostly both]"
    )
    attacked_layer: int | None = Field(
        None, ge=0, description="layer whose weights are attacked, from 0; null: the last [code: last of 2, only one]"
    )
    reduction: Literal["mean", "sum"] = Field(
        "mean", description="over the utterances of a batch [ours: mean; code: sum]"
    )
    padding: Literal["exact", "released"] = Field(
        "exact", description="released: the backward LSTMs start in the padding behind short dialogues [code]"
    )


class SaclLSTM(FeatureModel):
    """The model of Hu et al. (2023)."""

    name: ClassVar[str] = "sacl_lstm"
    citation: ClassVar[str] = (
        "D. Hu, Y. Bao, L. Wei, W. Zhou, S. Hu. Supervised Adversarial Contrastive Learning for Emotion Recognition in "
        "Conversations. ACL 2023"
    )
    config_type: ClassVar[type[ModelConfig]] = SaclLSTMConfig
    prefers: ClassVar[tuple[str, ...]] = ("text",)
    iemocap_weights: ClassVar[tuple[float, ...]] = DialogueCRN.iemocap_weights
    recipes: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "iemocap": {
            "learning_rate": 1e-4, "weight_decay": 2e-4, "batch_dialogues": 2, "accumulate": 16, "epochs": 100,
            "patience": 20, "reduction": "sum", "gradient_clip": NEVER,
        },
        "meld": {
            "learning_rate": 1e-4, "weight_decay": 2e-4, "batch_dialogues": 16, "accumulate": 2, "epochs": 100,
            "patience": 20, "reduction": "sum", "gradient_clip": NEVER, "lstm_layers": 1, "focal_gamma": 1.0,
            "contrast_on": "log_probabilities", "contrast_weight": 0.1, "adversarial_contrast_weight": 0.05,
        },
    }  # fmt: skip
    small: ClassVar[Mapping[str, Any]] = {"lstm_hidden": 4, "lstm_layers": 1}

    def __init__(self, config: ModelConfig, task: Task) -> None:
        super().__init__(config, task)
        self.config = config = cast(SaclLSTMConfig, config)
        layer = config.lstm_layers - 1 if config.attacked_layer is None else config.attacked_layer
        if layer >= config.lstm_layers:
            raise UserError(f"attacked_layer is {layer}, but layers are counted from 0 to {config.lstm_layers - 1}")
        self.prefixes = tuple(f"{target}.layers.{layer}." for target in TARGETS[config.attack])
        self.perception = Perception(
            sum(self.widths.values()),
            config.lstm_hidden,
            config.lstm_layers,
            config.dropout,
            over_padding=config.padding == "released",
            least_turns=config.least_turns,
        )
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(4 * config.lstm_hidden, len(task.labels))

    def loss_weights(self) -> Mapping[str, float | Tensor]:
        """Those of the contrasts."""
        weights = {"contrastive": self.config.contrast_weight}
        if self.training:
            weights[f"{ADVERSARIAL}contrastive"] = self.config.adversarial_contrast_weight
        return weights

    @eager  # the loss is differentiated in the middle of the pass, and its graph used again
    def forward(self, batch: DialogueBatch, across: Reduction = ALONE) -> Output:
        """Logits [B, T, C], both losses, and both under attack where the model learns."""
        utterances = self.inputs.joined(batch)
        output = self._judged(self.perception(utterances, batch), batch, across)
        if not (self.config.adversarial and self.training and torch.is_grad_enabled()):
            return output
        weights = self.attacked_weights(output, across)
        perceived = functional_call(self.perception, weights, (utterances, batch))
        worse = self._judged(perceived, batch, across).losses
        return Output(output.logits, output.losses | {f"{ADVERSARIAL}{name}": term for name, term in worse.items()})

    def attacked_weights(self, output: Output, across: Reduction = ALONE) -> dict[str, Tensor]:
        """Weights of the perception, by name, that raise the loss of the output."""
        loss, _ = objective(self, output, across)
        weights = {
            name: weight
            for name, weight in self.perception.named_parameters()
            if name.startswith(self.prefixes) and "_ih_" in name
        }
        return attacked(weights, loss, self.config.epsilon, across)

    def _judged(self, perceived: tuple[Tensor, Tensor], batch: DialogueBatch, across: Reduction) -> Output:
        """What situation and speaker states [N, 2 * lstm_hidden] say, and what that costs."""
        config, known = self.config, self.known(batch)
        states = torch.cat(perceived, dim=-1)
        logits = self.classifier(self.dropout(torch.relu(states)))
        compared = states if config.contrast_on == "states" else torch.log_softmax(logits.float(), dim=-1)
        losses = {
            "classification": focal(logits, known, config.focal_gamma),
            "contrastive": nt_xent(compared, known, config.temperature, across),
        }
        if config.reduction == "sum":
            utterances = across.sum(known.labelled.sum())
            losses = {name: LossTerm(utterances * term.total, term.count) for name, term in losses.items()}
        return self.classified(logits, batch, losses)
