"""SDT: every modality hears itself and the others through a transformer layer, gates fuse, and the fusion teaches each.

    x_m = W_m u_m + sinusoid + e_speaker
    h_mk = LeanLayer(x_m hears x_k)    g_mk = sigmoid(G_mk h_mk) * h_mk        for all m and k, m with itself too
    r_m = V_m [g_mm ; g_mk ; ...] + b_m    z = sum_m softmax_m(G r_m) * r_m    the softmax a channel, over modalities
    logits_m = U_m relu(r_m) + c_m    logits = U z + c
    L = CE(logits) + sum_m CE(logits_m) + sum_m KL(softmax(logits / T) || softmax(logits_m / T))

The layer is in dferc/layers/lean_transformer.py, the KL in dferc/layers/distillation.py. A modality that an utterance
lacks is heard by none, weighs 0 in z and has no loss [ours]; where an utterance lacks all, z is 0.
Source of the defaults: butterfliesss/SDT, exec_*.sh, train.py, model.py [code]. It numbers the speakers of IEMOCAP by
sex, we by their first turn. On MELD its gates G_mk are frozen at the identity.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self, cast

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from dferc.corpus.batch import DialogueBatch
from dferc.layers.attention import masked_softmax
from dferc.layers.distillation import distillation
from dferc.layers.lean_transformer import LeanLayer
from dferc.layers.reduction import ALONE, Reduction
from dferc.layers.stacked import StackedLinear
from dferc.layers.switched_transformer import sinusoids
from dferc.models.base import ModelConfig, Output, Task
from dferc.models.feature_model import FeatureConfig, FeatureModel


class SDTConfig(FeatureConfig):
    """Settings of SDT."""

    hidden: int = Field(1024, ge=1, description="width of every state, a multiple of heads [code: hidden_dim]")
    heads: int = Field(8, ge=1, description="of each attention [code: n_head]")
    dropout: float = Field(
        0.5, ge=0, lt=1, description="throughout the transformers, and before each modality's classifier [code]"
    )
    gate: Literal["learned", "identity"] = Field(
        "learned", description="G_mk: learned matrices [code: IEMOCAP], or the identity [code: MELD]"
    )
    parties: int = Field(
        9, ge=1, description="speaker embeddings; further parties share the last [code: 2 on IEMOCAP, 9 on MELD]"
    )
    temperature: float = Field(1.0, gt=0, description="T of the distillation [code: 1 on IEMOCAP, 8 on MELD]")
    modality_weight: float = Field(1.0, ge=0, description="of each modality's own cross-entropy [code: gamma_2]")
    distillation_weight: float = Field(1.0, ge=0, description="of each modality's KL [code: gamma_3]")

    @model_validator(mode="after")
    def _heads_divide(self) -> Self:
        if self.hidden % self.heads:
            raise ValueError(f"hidden ({self.hidden}) is not a multiple of heads ({self.heads})")
        return self


class Exchange(nn.Module):
    """One modality hears another, or itself, and a gate decides what of it goes on."""

    def __init__(self, width: int, heads: int, dropout: float, gated: bool) -> None:
        """Make the layer; without ``gated`` the gate's matrix is the identity."""
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.layer = LeanLayer(width, heads, width, dropout, first=True)
        self.gate = nn.Linear(width, width, bias=False) if gated else nn.Identity()

    def heard(self, places: Tensor, keys: Tensor, source: Tensor | None = None) -> Tensor:
        """As the layer, before the gate."""
        heard: Tensor = self.layer(self.dropout(places), keys, None if source is None else self.dropout(source))
        return heard

    def forward(self, places: Tensor, keys: Tensor, source: Tensor | None = None) -> Tensor:
        """Places [B, T, H], which may be heard [B, T], and where they lie if not in the places: [B, T, H]."""
        heard = self.heard(places, keys, source)
        return torch.sigmoid(self.gate(heard)) * heard


class SDT(FeatureModel):
    """The model of Ma et al. (2024)."""

    name: ClassVar[str] = "sdt"
    citation: ClassVar[str] = (
        "H. Ma, J. Wang, H. Lin, B. Zhang, Y. Zhang, B. Xu. A Transformer-Based Model With Self-Distillation for "
        "Multimodal Emotion Recognition in Conversations. IEEE Transactions on Multimedia 26, 2024. "
        "doi:10.1109/TMM.2023.3271019"
    )
    config_type: ClassVar[type[ModelConfig]] = SDTConfig
    recipes: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "iemocap": {"learning_rate": 1e-4, "weight_decay": 1e-5, "batch_dialogues": 16, "epochs": 150, "parties": 2},
        "meld": {
            "learning_rate": 5e-6,
            "weight_decay": 1e-5,
            "batch_dialogues": 8,
            "epochs": 50,
            "parties": 9,
            "temperature": 8.0,
            "gate": "identity",
        },
    }
    small: ClassVar[Mapping[str, Any]] = {"hidden": 8, "heads": 2}

    def __init__(self, config: ModelConfig, task: Task) -> None:
        super().__init__(config, task)
        self.config = config = cast(SDTConfig, config)
        number, width = len(self.modalities), config.hidden
        self.projections = nn.ModuleDict({m: nn.Linear(d, width, bias=False) for m, d in self.widths.items()})
        self.speaker = nn.Embedding(config.parties, width)
        self.exchanges = nn.ModuleDict(
            {
                f"{source}_to_{m}": Exchange(width, config.heads, config.dropout, config.gate == "learned")
                for m in self.modalities
                for source in self.heard_by(m)
            }
        )
        self.combine = StackedLinear(number, number * width, width)
        self.modality_gate = nn.Linear(width, width, bias=False)
        self.dropout = nn.Dropout(config.dropout)
        self.modality_classifiers = StackedLinear(number, width, len(task.labels))
        self.classifier = nn.Linear(width, len(task.labels))

    def loss_weights(self) -> dict[str, float]:
        """Those of what is asked of each modality."""
        return {
            "modality_classification": self.config.modality_weight,
            "distillation": self.config.distillation_weight,
        }

    def heard_by(self, modality: str) -> list[str]:
        """Itself, then the others in order."""
        return [modality, *(m for m in self.modalities if m != modality)]

    def forward(self, batch: DialogueBatch, across: Reduction = ALONE) -> Output:
        """Logits [B, T, C], the three kinds of losses, and how much each modality weighs in the fusion."""
        known = self.known(batch)
        each = self.represented(batch)
        fused, weights = self.fused(each, known.present)
        logits = self.classifier(fused)
        by_modality = self.modality_classifiers(self.dropout(torch.relu(each)))
        losses = {
            "modality_classification": known.cross_entropies(by_modality),
            "distillation": distillation(by_modality, logits, known.present, self.config.temperature),
        }
        return self.classified(logits, batch, losses, {"fusion_weights": weights})

    def places(self, batch: DialogueBatch) -> dict[str, Tensor]:
        """What enters the transformers, modality to x_m [B, T, H]."""
        vectors, _ = self.inputs(batch)
        speaker = self.speaker(batch.speakers.clamp_max(self.config.parties - 1))
        projected = {m: batch.padded(self.projections[m](x)) for m, x in vectors.items()}
        return {m: x + sinusoids(x) + speaker for m, x in projected.items()}

    def represented(self, batch: DialogueBatch) -> Tensor:
        """What each modality makes of all, r [M, N, H]."""
        places = self.places(batch)
        gated = []
        for m, x in places.items():
            heard = [
                self.exchanges[f"{source}_to_{m}"](x, batch.present[source], None if source == m else places[source])
                for source in self.heard_by(m)
            ]
            gated.append(batch.flat(torch.cat(heard, dim=-1)))
        combined: Tensor = self.combine(torch.stack(gated))
        return combined

    def fused(self, each: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """From r [M, N, H] and presence [M, N]: z [N, H], and the modalities' weights, mean over channels, [N, M]."""
        here = present.T.unsqueeze(1).bool()
        weights = masked_softmax(self.modality_gate(each).permute(1, 2, 0), here)
        return (weights * each.permute(1, 2, 0)).sum(-1), weights.mean(1)
