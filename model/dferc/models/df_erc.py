"""DF-ERC: disentangle the features of each modality, fuse them by their contribution, refuse the context by their agreement.

With x_m the encoded features of modality m, ``[;]`` concatenation, and every MLP = dropout, linear, GELU:

    DDM  u_m = MLP_mod,m(x_m)    r_m = MLP_utt,m(u_m)    h_m = [x_m ; 0.4 (u_m + r_m)]
         contrastive losses: u of one modality attract each other, r of one utterance attract each other
    CFM  q_m = softmax(GELU(W h_m))   c*_m = q_m[y]   c_m = sigmoid(w . h_m)   a_m = c_m / sum c
         p = [0.9 sum_m a_m h_m ; sum_m h_m]         loss: CE(q_m, y) + MSE(c_m, c*_m)
    CRM  g_m = MLP_align,m(h_m)   s = mean pairwise cosine of g   o = BiLSTM(p)
         z_i = [p_i ; 0.8 (1 - s_i)(o_{i-1} + o_{i+1})]   loss: max(mean (g_m - prototype_y)^2 - beta, 0)
         logits = W z

Marks of the defaults: [code] the release's iemo_config.yaml or model.py, [paper], [open] our choice where neither says.
An utterance that lacks a modality takes no part in anything of that modality: it is no anchor, candidate or prototype member,
weighs nothing in the fusion and forms no pair. With fewer than two modalities nothing agrees, s = 0, and context counts in full.
"""

from typing import TYPE_CHECKING, ClassVar, Literal, cast

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from dferc.corpus.batch import NO_LABEL, TEXT, DialogueBatch
from dferc.layers.agreement import Prototypes, assignment_agreement, pairwise_agreement
from dferc.layers.contrastive import modality_contrast, utterance_contrast
from dferc.layers.fusion import TINY, static_fusion
from dferc.layers.recurrent import DialogueLSTM
from dferc.layers.reduction import ALONE, LossTerm, Reduction
from dferc.layers.stacked import StackedMLP, initialise
from dferc.models.base import Model, ModelConfig, Output, Task

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
        description="folder or name of a transformers encoder trained end to end instead of text vectors [code: roberta-large]",
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
    consistency: Literal["pairwise", "prototype"] = Field(
        "pairwise", description="cosine of the projections [code] or overlap of their prototype assignments [paper]"
    )

    class_weights: Literal["release", "balanced", "none"] = Field(
        "release",
        description="of both cross-entropies: 1 for class 0 and other_class_weight for the rest [code], inverse frequency, or none",
    )
    other_class_weight: float = Field(1.3, gt=0, description="[code: label_weight]")

    @model_validator(mode="after")
    def _prototypes_outlast_a_batch(self) -> "DFERCConfig":
        if self.consistency == "prototype" and self.prototypes not in ("cumulative", "ema"):
            raise ValueError("consistency: prototype needs prototypes that outlast a batch: cumulative or ema")
        return self


class DFERC(Model):
    """The model of Li et al. (2023)."""

    name: ClassVar[str] = "df_erc"
    citation: ClassVar[str] = (
        "B. Li, H. Fei, L. Liao, Y. Zhao, C. Teng, T.-S. Chua, D. Ji, F. Li. Revisiting Disentanglement and Fusion on Modality and "
        "Context in Conversational Multimodal Emotion Recognition. ACM Multimedia 2023. arXiv:2308.04502"
    )
    config_type: ClassVar[type[ModelConfig]] = DFERCConfig
    class_weight: Tensor

    def __init__(self, config: ModelConfig, task: Task) -> None:
        super().__init__(config, task)
        self.config = config = cast(DFERCConfig, config)
        self.text = text_encoder(config)
        widths = dict(task.widths) | ({TEXT: self.text.width} if self.text else {})
        self.modalities = tuple(config.modalities or widths)
        self.encoders = nn.ModuleDict({m: ModalityEncoder(widths[m], config, task, m) for m in self.modalities})
        self.parties = nn.Embedding(MOST_PARTIES, config.hidden) if config.speaker else None
        self.disentangle = Disentanglement(self.modalities, config) if config.disentangle != "off" else None
        width = config.hidden * (2 if self.disentangle else 1)
        classes = len(task.labels)
        if config.fusion == "contribution":
            self.contribution, fused = ContributionFusion(len(self.modalities), width, classes, config), width
        else:
            self.fusion, fused = static_fusion(config.fusion, len(self.modalities), width)
        self.context = ContextRefusion(len(self.modalities), width, fused + width, classes, config)
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
        labels = batch.flat(batch.labels)
        labelled = (labels != NO_LABEL).float()
        known = labels.clamp_min(0)
        features, present = self._encode(batch)
        losses: dict[str, LossTerm] = {}
        seen: dict[str, Tensor] = {}
        if self.disentangle is not None:
            features, terms, similarity = self.disentangle(features, present, across)
            losses |= terms
            seen |= similarity
        if self.config.fusion == "contribution":
            weighted, weights, terms, confidence = self.contribution(
                features, present, known, labelled, self.class_weight
            )
            losses |= terms
            seen |= confidence
        else:
            weighted, weights = self.fusion(features, present)
        everything = (present.unsqueeze(-1) * features).sum(0)
        fused = torch.cat([weighted * self.config.fusion_scale, everything], dim=-1)
        refused, terms, gate = self.context(fused, features, present, known, labelled, batch, across)
        logits = self.classifier(refused)
        losses |= terms
        losses["classification"] = weighted_cross_entropy(logits, known, labelled, self.class_weight)
        seen |= gate | {"fusion_weights": weights}
        return Output(
            logits=batch.padded(logits),
            losses=losses,
            diagnostics={} if self.training else {name: batch.padded(value.detach()) for name, value in seen.items()},
        )

    def _encode(self, batch: DialogueBatch) -> tuple[Tensor, Tensor]:
        """Encoded features x [M, N, H] and presence [M, N]."""
        encoded, present = [], []
        text = self.text(batch.tokens) if self.text else None
        for name, encoder in self.encoders.items():
            own = name == TEXT and text is not None
            vectors = text if own else batch.flat(batch.features[name])
            encoded.append(encoder(vectors))
            present.append(batch.flat(batch.mask if own else batch.present[name]))
        features = torch.stack(encoded)
        if self.parties is not None:
            features = features + self.parties(batch.flat(batch.speakers).clamp_max(MOST_PARTIES - 1))
        return features, torch.stack(present).float()


def text_encoder(config: DFERCConfig) -> "TextEncoder | None":
    """The pretrained encoder, imported only where one is asked for: transformers takes seconds to load."""
    if config.text_encoder is None:
        return None
    from dferc.encoders.text import TextEncoder

    return TextEncoder(config.text_encoder, config.max_tokens)


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


class Disentanglement(nn.Module):
    """DDM, dual-level disentanglement."""

    groups: Tensor

    def __init__(self, modalities: tuple[str, ...], config: DFERCConfig) -> None:
        super().__init__()
        self.config = config
        shape = (len(modalities), config.hidden, config.hidden, config.dropout)
        self.modality = StackedMLP(*shape) if config.disentangle != "utterance" else None
        self.utterance = StackedMLP(*shape) if config.disentangle != "modality" else None
        merged = config.modality_groups == "release"
        groups = [0 if merged and m in ("text", "audio") else i for i, m in enumerate(modalities)]
        self.register_buffer("groups", torch.tensor(groups), persistent=False)

    def forward(
        self, encoded: Tensor, present: Tensor, across: Reduction
    ) -> tuple[Tensor, dict[str, LossTerm], dict[str, Tensor]]:
        """x [M, N, H] -> h [M, N, 2H], both contrastive losses, similarities between modalities and utterances."""
        config, losses, parts, source = self.config, {}, [], encoded
        if self.modality is not None:
            parts.append(self.modality(encoded))
            losses["modality_contrast"] = modality_contrast(
                parts[-1], present, self.groups, config.modality_temperature, across
            )
            source = parts[-1] if config.projections == "sequential" else encoded
        if self.utterance is not None:
            parts.append(self.utterance(source))
            losses["utterance_contrast"] = utterance_contrast(parts[-1], present, config.utterance_temperature, across)
        disentangled = torch.stack(parts).sum(0)
        seen = {} if self.training else similarities(disentangled, present, across)
        return torch.cat([encoded, config.disentangle_scale * disentangled], dim=-1), losses, seen


class ContributionFusion(nn.Module):
    """CFM: a teacher a modality says how probable the true class was, a student learns to foretell it without the label."""

    def __init__(self, modalities: int, width: int, classes: int, config: DFERCConfig) -> None:
        super().__init__()
        self.detach_tcp = config.detach_tcp
        self.teacher = StackedMLP(modalities, width, classes, config.dropout)
        self.student = StackedMLP(modalities, width, 1, config.dropout, sigmoid=True)

    def forward(
        self, features: Tensor, present: Tensor, labels: Tensor, labelled: Tensor, class_weight: Tensor
    ) -> tuple[Tensor, Tensor, dict[str, LossTerm], dict[str, Tensor]]:
        """h [M, N, D] -> weighted sum [N, D], weights a [N, M], the loss, the true and the foretold confidence [N, M]."""
        logits = self.teacher(features)
        confidence = self.student(features).squeeze(-1)
        counted = present * labelled
        target = torch.softmax(logits.float(), -1).gather(-1, labels.expand(len(logits), -1).unsqueeze(-1)).squeeze(-1)
        distance = (confidence - (target.detach() if self.detach_tcp else target)).square()
        weighing = class_weight[labels] * counted
        entropy = F.cross_entropy(logits.flatten(0, 1).float(), labels.repeat(len(logits)), reduction="none")
        entropy = entropy.view_as(present)
        loss = LossTerm(
            torch.cat([(entropy * weighing).sum(1), (distance * counted).sum(1)]),
            torch.cat([weighing.sum(1), counted.sum(1)]),
        )
        share = confidence * present
        weights = share / (share.sum(0) + TINY)
        seen = {"true_class_probability": target.T, "confidence": confidence.T}
        return (weights.unsqueeze(-1) * features).sum(0), weights.T, {"confidence": loss}, seen


class ContextRefusion(nn.Module):
    """CRM: the less the modalities of an utterance agree, the more of its neighbours' context is added."""

    def __init__(self, modalities: int, width: int, fused: int, classes: int, config: DFERCConfig) -> None:
        super().__init__()
        self.config = config
        aligned = config.context == "refusion" or config.prototypes != "off"
        self.align = StackedMLP(modalities, width, config.align, config.dropout) if aligned else None
        self.prototypes = Prototypes(classes, config.align, config.prototypes, config.prototype_momentum)
        half = 2 * config.hidden
        self.lstm = (
            DialogueLSTM(fused, half, 2, config.context_input_dropout, config.context_recurrent_dropout)
            if config.context != "none"
            else None
        )
        self.width = fused + (2 * half if self.lstm else 0)

    def forward(
        self,
        fused: Tensor,
        features: Tensor,
        present: Tensor,
        labels: Tensor,
        labelled: Tensor,
        batch: DialogueBatch,
        across: Reduction,
    ) -> tuple[Tensor, dict[str, LossTerm], dict[str, Tensor]]:
        """p [N, P], h [M, N, D] -> z [N, Z], the margin loss, consistency s and the gate on the context [N]."""
        losses: dict[str, LossTerm] = {}
        seen: dict[str, Tensor] = {}
        if self.align is not None:
            projected = self.align(features)
            if self.config.prototypes != "off":
                losses["prototype"] = self.prototypes.margin_loss(
                    projected, present * labelled, labels, self.config.beta, across
                )
            seen["consistency"] = self._agreement(projected.detach().float(), present)
        if self.lstm is None:
            return fused, losses, seen
        gate = self._gate(fused, seen)
        context = self._neighbours(self.lstm(batch.padded(fused), batch.lengths), batch)
        seen["context_gate"] = gate
        return torch.cat([fused, self.config.context_weight * gate.unsqueeze(-1) * context], -1), losses, seen

    def _agreement(self, projected: Tensor, present: Tensor) -> Tensor:
        if self.config.consistency == "pairwise":
            return pairwise_agreement(projected, present)
        return assignment_agreement(projected, present, self.prototypes)

    def _gate(self, fused: Tensor, seen: dict[str, Tensor]) -> Tensor:
        if self.config.context == "refusion":
            return 1 - seen["consistency"]
        return fused.new_full(fused.shape[:1], 1.0 if self.config.context == "full" else self.config.fixed_context)

    def _neighbours(self, outputs: Tensor, batch: DialogueBatch) -> Tensor:
        """Sum of o_{i-w} ... o_{i-1} and o_{i+1} ... o_{i+w}, zeros past the ends: [B, T, O] -> [N, O]."""
        window = self.config.context_window
        ahead = F.pad(outputs, (0, 0, window, window))
        windows = ahead.unfold(1, 2 * window + 1, 1)
        return batch.flat(windows.sum(-1) - outputs)


def weighted_cross_entropy(logits: Tensor, labels: Tensor, counted: Tensor, class_weight: Tensor) -> LossTerm:
    """Cross-entropy [N, C], [N] -> sum of w_y CE over the counted utterances, divided by the sum of w_y."""
    weights = class_weight[labels] * counted
    entropy = F.cross_entropy(logits.float(), labels, reduction="none")
    return LossTerm((entropy * weights).sum(), weights.sum())


def class_weight(config: DFERCConfig, task: Task) -> Tensor:
    """Weight of each class [C]; balanced = total / (C * count), 0 counts as 1."""
    if config.class_weights == "release":
        return torch.tensor([1.0] + [config.other_class_weight] * (len(task.labels) - 1))
    if config.class_weights == "none":
        return torch.ones(len(task.labels))
    counts = torch.tensor(task.train_counts, dtype=torch.float).clamp_min(1)
    return counts.sum() / (len(counts) * counts)


def similarities(vectors: Tensor, present: Tensor, across: Reduction) -> dict[str, Tensor]:
    """Mean cosine [N] of [M, N, H] between the modalities of an utterance, and with other utterances of its modality."""
    unit = F.normalize(vectors.detach(), dim=-1) * present.unsqueeze(-1)
    itself = unit.square().sum(-1)
    between = (unit * unit.sum(0)).sum(-1) - itself
    along = (unit * across.sum(unit.sum(1)).unsqueeze(1)).sum(-1) - itself
    others = across.sum(present.sum(1)).unsqueeze(1) - 1
    seen = present.sum(0).clamp_min(1)
    return {
        "modality_similarity": between.sum(0) / (seen * (seen - 1)).clamp_min(1),
        "utterance_similarity": (along * present / others.clamp_min(1)).sum(0) / seen,
    }
