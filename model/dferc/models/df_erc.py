"""DF-ERC: disentangle each modality's features, fuse them by their contribution, refuse the context by their agreement.

With x_m the encoded features of modality m, ``[;]`` concatenation, and every MLP = dropout, linear, GELU:

    DDM  u_m = MLP_mod,m(x_m)    r_m = MLP_utt,m(u_m)    h_m = [x_m ; 0.4 (u_m + r_m)]
         contrastive losses: u of one modality attract each other, r of one utterance attract each other
    CFM  q_m = softmax(GELU(W h_m))   c*_m = q_m[y]   c_m = sigmoid(w . h_m)   a_m = c_m / sum c
         p = [0.9 sum_m a_m h_m ; sum_m h_m]         loss: CE(q_m, y) + MSE(c_m, c*_m)
    CRM  g_m = MLP_align,m(h_m)   s = mean pairwise cosine of g   o = BiLSTM(p)
         z_i = [p_i ; 0.8 (1 - s_i)(o_{i-1} + o_{i+1})]   loss: max(mean (g_m - prototype_y)^2 - beta, 0)
         logits = W z

Marks of the defaults: [code] the release's iemo_config.yaml or model.py, [paper], [open] our choice where neither says.
An utterance that lacks a modality takes no part in anything of that modality: it is no anchor, candidate or prototype
member, weighs nothing in the fusion and forms no pair. With fewer than two modalities nothing agrees, s = 0, and
context counts in full.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from dferc.corpus.batch import TEXT, DialogueBatch, TokenBlocks
from dferc.layers.contribution import Contribution, ContributionFusion
from dferc.layers.disentanglement import Disentanglement, DisentanglementOptions
from dferc.layers.fusion import static_fusion
from dferc.layers.reduction import ALONE, LossTerm, Reduction
from dferc.layers.refusion import ContextRefusion, RefusionOptions
from dferc.layers.stacked import initialise
from dferc.layers.utterances import Utterances
from dferc.models.base import Model, ModelConfig, Output, Task, without_text

if TYPE_CHECKING:
    from dferc.encoders.text import TextEncoder, TextPacker


class DFERCConfig(ModelConfig):
    """Every hyperparameter of DF-ERC; three mechanisms, each with a switch of its own."""

    modalities: tuple[str, ...] | None = Field(None, description="which to use, in order; all of the corpus by default")
    standardise: bool = Field(
        True, description="shift and scale each input by its training mean and deviation [open]; false for the release"
    )
    hidden: int = Field(300, ge=1, description="width of an encoded modality [code]")
    dropout: float = Field(0.2, ge=0, lt=1, description="after each encoder and before each projection [code]")
    speaker: bool = Field(
        False, description="add an embedding of the party to each encoded modality; the release does not [open]"
    )
    text_encoder: str | None = Field(
        None,
        description="folder or name of a transformers encoder, trained end to end instead of text vectors "
        "[code: roberta-large]",
    )
    gradient_checkpointing: bool = Field(
        False, description="compute the text encoder's states again in the backward pass: less memory, more time"
    )
    max_tokens: int = Field(512, ge=8, description="sub-tokens of one block of the text encoder [code]")

    disentangle: Literal["both", "modality", "utterance", "off"] = Field(
        "both", description="levels of DDM; off leaves h_m = x_m"
    )
    projections: Literal["sequential", "parallel"] = Field(
        "sequential", description="r_m from u_m [code] or from x_m [paper]"
    )
    modality_groups: Literal["distinct", "release"] = Field(
        "distinct", description="release: text and audio count as one modality, as its code does by mistake"
    )
    modality_temperature: float = Field(
        1.0, gt=0, description="of the modality level's contrastive loss [code: cl_temp]"
    )
    utterance_temperature: float = Field(1.0, gt=0, description="of the utterance level's [code: cl_temp]")
    disentangle_scale: float = Field(0.4, ge=0, description="of d_m = u_m + r_m inside h_m [code: cl_weight]")
    modality_contrast_weight: float = Field(0.4, ge=0, description="of the loss [code: cl_weight]")
    utterance_contrast_weight: float = Field(0.4, ge=0, description="of the loss [code: cl_weight]")

    fusion: Literal["contribution", "mean", "sum", "concat", "attention", "gated"] = Field(
        "contribution", description="contribution is CFM, the rest do without it"
    )
    detach_tcp: bool = Field(True, description="no gradient through the target c*; false for the release")
    fusion_scale: float = Field(0.9, ge=0, description="of the weighted sum inside p [code: conf_weight]")
    confidence_weight: float = Field(1.0, ge=0, description="of the loss [code: conf_loss]")

    context: Literal["refusion", "full", "fixed", "none"] = Field(
        "refusion", description="gate on the context: 1 - s (CRM), 1, a constant, or no context at all"
    )
    fixed_context: float = Field(0.5, ge=0, le=2, description="the constant of context: fixed [open]")
    context_weight: float = Field(0.8, ge=0, description="of the context inside z [code: sim_weight]")
    context_window: int = Field(1, ge=1, description="neighbours on each side whose context counts [code: 1]")
    context_input_dropout: float = Field(
        0.3, ge=0, lt=1, description="variational, on each BiLSTM layer's input [code]"
    )
    context_recurrent_dropout: float = Field(
        0.3, ge=0, lt=1, description="DropConnect on hidden-to-hidden weights [code]"
    )
    align: int = Field(500, ge=1, description="width of the alignment projections [code]")
    prototypes: Literal["batch", "cumulative", "ema", "off"] = Field(
        "batch", description="class means of this batch [code], of all batches, moving, or no margin loss"
    )
    prototype_momentum: float = Field(0.9, ge=0, lt=1, description="of the moving means [open]")
    beta: float = Field(
        0.1, ge=0, description="margin: squared distance to the prototype that costs nothing [code: margin]"
    )
    prototype_weight: float = Field(0.7, ge=0, description="of the margin loss [code: sim_loss]")
    consistency: Literal["pairwise", "prototype", "predictions"] = Field(
        "pairwise",
        description="agreement of the modalities: cosine of their projections [code], overlap of their assignments to "
        "the prototypes [paper], or overlap of their own predictions q_m [open]",
    )

    class_weights: Literal["release", "balanced", "none"] = Field(
        "release",
        description="of both cross-entropies: 1 for class 0 and other_class_weight for the rest [code], inverse "
        "frequency, or none",
    )
    other_class_weight: float = Field(1.3, gt=0, description="[code: label_weight]")

    def vectors(self) -> tuple[str, ...] | None:
        """All in use but the text, where an encoder reads it."""
        return without_text(self.modalities or None) if self.text_encoder else super().vectors()

    @model_validator(mode="after")
    def _prototypes_outlast_a_batch(self) -> "DFERCConfig":
        if self.consistency == "prototype" and self.prototypes not in ("cumulative", "ema"):
            raise ValueError("consistency: prototype needs prototypes that outlast a batch: cumulative or ema")
        if self.consistency == "predictions" and self.fusion != "contribution":
            raise ValueError("consistency: predictions compares the classifiers that only fusion: contribution has")
        return self


class DFERC(Model):
    """The model of Li et al. (2023)."""

    name: ClassVar[str] = "df_erc"
    citation: ClassVar[str] = (
        "B. Li, H. Fei, L. Liao, Y. Zhao, C. Teng, T.-S. Chua, D. Ji, F. Li. Revisiting Disentanglement and Fusion on "
        "Modality and Context in Conversational Multimodal Emotion Recognition. ACM Multimedia 2023. arXiv:2308.04502"
    )
    config_type: ClassVar[type[ModelConfig]] = DFERCConfig
    small: ClassVar[Mapping[str, Any]] = {"hidden": 8, "align": 6}

    def __init__(self, config: ModelConfig, task: Task) -> None:
        super().__init__(config, task)
        self.config = config = cast(DFERCConfig, config)
        self.text = text_encoder(config)
        widths = dict(task.widths) | ({TEXT: self.text.width} if self.text else {})
        self.modalities = modalities = tuple(config.modalities or widths)
        self.encoders = nn.ModuleDict({m: ModalityEncoder(widths[m], config, task, m) for m in modalities})
        self.parties = nn.Embedding(MOST_PARTIES, config.hidden) if config.speaker else None
        self.disentangle = self._disentanglement()
        width = config.hidden * (2 if self.disentangle else 1)
        fused, classes = width, len(task.labels)
        if config.fusion == "contribution":
            self.contribution = ContributionFusion(len(modalities), width, classes, config.dropout, config.detach_tcp)
        else:
            self.fusion, fused = static_fusion(config.fusion, len(modalities), width)
        self.context = ContextRefusion(
            len(modalities), width, fused + width, classes, config.align, 2 * config.hidden, self._refusion_options()
        )
        self.classifier = nn.Linear(self.context.width, classes)
        initialise(self.classifier.weight, self.classifier.bias)
        self.register_buffer("class_weight", class_weight(config, task))

    def loss_weights(self) -> dict[str, float]:
        """Weight of each loss; classification weighs 1."""
        names = ("modality_contrast", "utterance_contrast", "confidence", "prototype")
        return {name: getattr(self.config, f"{name}_weight") for name in names}

    def encoder_parameters(self) -> list[nn.Parameter]:
        """The text encoder's."""
        return list(self.text.parameters()) if self.text else []

    def text_packer(self) -> "TextPacker | None":
        """Packs transcripts for the text encoder."""
        return self.text.packer() if self.text else None

    def forward(self, batch: DialogueBatch, across: Reduction = ALONE) -> Output:
        """Logits [B, T, C], the losses, and what to look at."""
        features, present = self._encode(batch)
        utterances = Utterances.of(batch, present, self.class_weight)
        losses: dict[str, LossTerm] = {}
        seen: dict[str, Tensor] = {}
        if self.disentangle is not None:
            features, losses, seen = self.disentangle(features, present, across)
        weighted, beliefs = self._fuse(features, utterances, losses, seen)
        everything = (present.unsqueeze(-1) * features).sum(0)
        fused = torch.cat([weighted * self.config.fusion_scale, everything], dim=-1)
        refused, margin, gate = self.context(fused, features, beliefs, utterances, batch, across)
        logits = self.classifier(refused)
        return Output(
            logits=batch.padded(logits),
            losses=losses | margin | {"classification": utterances.cross_entropy(logits)},
            diagnostics={} if self.training else {n: batch.padded(v.detach()) for n, v in (seen | gate).items()},
        )

    def _encode(self, batch: DialogueBatch) -> tuple[Tensor, Tensor]:
        """Encoded features x [M, N, H], zero where missing, and presence [M, N]."""
        encoded, present = [], []
        text = self.text(cast(TokenBlocks, batch.tokens)) if self.text else None
        for name, encoder in self.encoders.items():
            own = name == TEXT and text is not None
            encoded.append(encoder(text if own else batch.flat(batch.features[name])))
            present.append(batch.flat(batch.mask if own else batch.present[name]))
        seen = torch.stack(present).float()
        features = torch.stack(encoded) * seen.unsqueeze(-1)
        if self.parties is not None:
            features = features + self.parties(batch.flat(batch.speakers).clamp_max(MOST_PARTIES - 1))
        return features, seen

    def _fuse(
        self, features: Tensor, utterances: Utterances, losses: dict[str, LossTerm], seen: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor | None]:
        """h [M, N, D] -> the weighted part of p [N, D'] and the modalities' own predictions q [M, N, C]."""
        if self.config.fusion != "contribution":
            weighted, weights = self.fusion(features, utterances.present)
            seen["fusion_weights"] = weights
            return weighted, None
        found: Contribution = self.contribution(features, utterances)
        losses["confidence"] = found.loss
        seen |= {
            "fusion_weights": found.weights.T,
            "confidence": found.confidence.T,
            "true_class_probability": found.true_class_probability.T,
        }
        return found.weighted, found.beliefs

    def _disentanglement(self) -> Disentanglement | None:
        config = self.config
        if config.disentangle == "off":
            return None
        merged = config.modality_groups == "release"
        groups = [0 if merged and m in (TEXT, "audio") else i for i, m in enumerate(self.modalities)]
        options = DisentanglementOptions(
            levels=config.disentangle,
            projections=config.projections,
            modality_temperature=config.modality_temperature,
            utterance_temperature=config.utterance_temperature,
            scale=config.disentangle_scale,
            dropout=config.dropout,
        )
        return Disentanglement(groups, config.hidden, options)

    def _refusion_options(self) -> RefusionOptions:
        config = self.config
        return RefusionOptions(
            context=config.context,
            fixed=config.fixed_context,
            weight=config.context_weight,
            window=config.context_window,
            consistency=config.consistency,
            prototypes=config.prototypes,
            momentum=config.prototype_momentum,
            beta=config.beta,
            dropout=config.dropout,
            input_dropout=config.context_input_dropout,
            recurrent_dropout=config.context_recurrent_dropout,
        )


def text_encoder(config: DFERCConfig) -> "TextEncoder | None":
    """The pretrained encoder, imported only where one is asked for: transformers takes seconds to load."""
    if config.text_encoder is None:
        return None
    from dferc.encoders.text import TextEncoder

    return TextEncoder(config.text_encoder, config.max_tokens, config.gradient_checkpointing)


MOST_PARTIES = 10
"""Parties of a dialogue that have an embedding each; MELD has up to 9."""


class ModalityEncoder(nn.Module):
    """x = dropout(tanh(W f + b)), 300-d [code: text_linear ...]."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, width: int, config: DFERCConfig, task: Task, modality: str) -> None:
        super().__init__()
        mean, deviation = task.statistics.get(modality, (torch.zeros(width), torch.ones(width)))
        standardise = config.standardise and not (modality == TEXT and config.text_encoder)
        self.register_buffer("mean", mean.clone() if standardise else torch.zeros(width))
        self.register_buffer("deviation", deviation.clone() if standardise else torch.ones(width))
        self.linear = nn.Linear(width, config.hidden)
        initialise(self.linear.weight, self.linear.bias)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, vectors: Tensor) -> Tensor:
        """[N, D] -> [N, H]."""
        encoded: Tensor = self.dropout(torch.tanh(self.linear((vectors - self.mean) / self.deviation)))
        return encoded


def class_weight(config: DFERCConfig, task: Task) -> Tensor:
    """Weight of each class [C]; balanced = total / (C * count), 0 counts as 1."""
    if config.class_weights == "release":
        return torch.tensor([1.0] + [config.other_class_weight] * (len(task.labels) - 1))
    if config.class_weights == "none":
        return torch.ones(len(task.labels))
    counts = torch.tensor(task.train_counts, dtype=torch.float).clamp_min(1)
    return counts.sum() / (len(counts) * counts)
