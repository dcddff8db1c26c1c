"""SKAIG: a graph transformer whose edges carry what COMET says of the mental state behind an utterance.

    x = W u + b     c_r = A k_r + a     x <- graph layer(x, c), L times     logits = V dropout(x) [+ V W u] + d

u is the utterance's vector, k_r its COMET vector of relation r: xWant, oWant, xIntent, xEffect. An edge of type r has
the vector c_r of its *source*. Which edges there are, and the layer: ``layers/knowledge_graph.py``.

Without a ``text_encoder`` u is a vector of the corpus: the release's variant over frozen vectors (LeqsNaN/SKAIG-ERC:
cosmic_style.py, gnn.py) [code], whose command is for MELD. With one it is the tuned form, of which the paper's scores
are: u is made by a transformer that learns too [code: gnn_uttenc.py], see ``encoders/utterance_encoder.py``.

Where the corpus lacks a COMET vector zeros stand for it, so that its edges carry the projection's bias a; without any
of them only the graph's shape is left of the knowledge, and a log message says so. The release can also weigh the
classes of MELD (``--reweight``), but its commands do not.
"""

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Literal, Self, cast

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from dferc.corpus.batch import TEXT, DialogueBatch, MarkedSequences, Packer
from dferc.encoders.utterance_encoder import utterance_encoder
from dferc.errors import UserError
from dferc.layers.inputs import Inputs
from dferc.layers.knowledge_graph import EDGE_TYPES, KnowledgeGraph, knowledge_edges
from dferc.layers.reduction import ALONE, Reduction
from dferc.models.base import ModelConfig, Output, Task, without_text
from dferc.models.feature_model import FeatureConfig, FeatureModel

logger = logging.getLogger(__name__)

KNOWLEDGE = tuple(f"comet_{relation}" for relation in EDGE_TYPES)
"""Names of the modalities that hold COMET's vectors, in the order of the edge types."""
OPTIMISATION = {"learning_rate": 1e-4, "weight_decay": 3e-4, "batch_dialogues": 8, "epochs": 50, "patience": 10}
"""Of the frozen variant on MELD [code: README]; there are no others for frozen vectors."""
MELD = {"hidden": 200, "heads": 4, "layers": 2, "edge_width": 200, "feed_forward": 200}
"""Sizes on MELD, of both forms [code: README]."""
RATES = ("learning_rate", "encoder_learning_rate")
TUNED = {
    **dict.fromkeys(RATES, 1e-5), "dropout": 0.0, "weight_decay": 0.0, "warmup_steps": 1000, "batch_dialogues": 8,
    "epochs": 50, "patience": 10, "adam_beta2": 0.999, "adam_epsilon": 1e-6,
}  # fmt: skip
"""Of the tuned form, with one learning rate for all [code: gnn_train.py, README; AdamW's are its library's]."""


class SkaigConfig(FeatureConfig):
    """Settings of SKAIG."""

    text_encoder: str | None = Field(
        None,
        description="folder or name of an encoder like RoBERTa, or `scratch`, that reads the transcripts and learns "
        "too [code: roberta-base or -large]; None takes the text vectors of the corpus [code: frozen variant]",
    )
    max_tokens: int = Field(
        52, ge=8, description="sub-tokens of an utterance; what is longer is cut [code: max_length]"
    )
    gradient_checkpointing: bool = Field(
        False, description="compute the backbone's states again in the backward pass: less memory, more time [ours]"
    )
    hidden: int = Field(300, ge=1, description="width of a state, a multiple of heads [code: sent_dim, README]")
    heads: int = Field(6, ge=1, description="heads of each attention [code: README]")
    layers: int = Field(5, ge=1, description="graph layers [code: README]")
    hops: int = Field(7, ge=1, description="utterances that an edge type reaches in each direction [code: hip, README]")
    others: Literal["each", "together"] = Field(
        "each", description="oWant's hops count utterances of each other speaker [code: MELD] or of all others"
    )
    edge_width: int = Field(300, ge=1, description="width of the projected knowledge [code: edge_dim, README]")
    feed_forward: int = Field(600, ge=1, description="inner width of the feed-forward networks [code: README]")
    graph_dropout: float = Field(0.1, ge=0, lt=1, description="inside the graph layers [code: at_dropout]")
    dropout: float = Field(
        0.5, ge=0, lt=1, description="before the classifier [code: frozen variant; the tuned one has none]"
    )
    residual: bool = Field(False, description="add the graph's input to its output [code: off]")

    def vectors(self) -> tuple[str, ...] | None:
        """All in use but the text, where a backbone reads it."""
        return without_text(self.modalities or None) if self.text_encoder else super().vectors()

    @model_validator(mode="after")
    def _heads_divide(self) -> Self:
        if self.hidden % self.heads:
            raise ValueError(f"hidden ({self.hidden}) is not a multiple of heads ({self.heads})")
        return self


class Skaig(FeatureModel):
    """The model of Li et al. (2021): over frozen vectors of the text or, with a backbone, over the text itself."""

    name: ClassVar[str] = "skaig"
    citation: ClassVar[str] = (
        "J. Li, Z. Lin, P. Fu, W. Wang. Past, Present, and Future: Conversational Emotion Recognition through "
        "Structural Modeling of Psychological Knowledge. Findings of EMNLP 2021"
    )
    config_type: ClassVar[type[ModelConfig]] = SkaigConfig
    prefers: ClassVar[tuple[str, ...]] = ("text", *KNOWLEDGE)
    iemocap_weights: ClassVar[tuple[float, ...]] = (1.0,) * 6
    recipes: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "iemocap": OPTIMISATION,
        "meld": {**MELD, "hops": 3, **OPTIMISATION},
        "iemocap_tuned": {**TUNED, "text_encoder": "roberta-base", "batch_dialogues": 1},
        "meld_tuned": {**MELD, "hops": 2, **TUNED, "text_encoder": "roberta-large", **dict.fromkeys(RATES, 8e-6)},
    }  # fmt: skip
    small: ClassVar[Mapping[str, Any]] = {
        "hidden": 8, "heads": 2, "layers": 2, "hops": 2, "edge_width": 6, "feed_forward": 8, "residual": True,
    }  # fmt: skip

    def __init__(self, config: ModelConfig, task: Task) -> None:
        """Make the layers.

        Raises:
            UserError: knowledge alone was chosen or is of several widths; there is no such backbone or no text for it.
        """
        config = cast(SkaigConfig, config)
        encoder = utterance_encoder(config.text_encoder, config.max_tokens, config.gradient_checkpointing)
        super().__init__(config, task if encoder is None else with_text(task, encoder.width))
        self.encoder = encoder
        if encoder is not None:
            self.inputs = Inputs(self._beside_text(), dict(task.statistics), config.standardise)
        self.hops, self.others_together, self.residual = config.hops, config.others == "together", config.residual
        self.described = [m for m in self.modalities if m not in KNOWLEDGE]
        if not self.described:
            raise UserError(f"skaig needs vectors of the utterances, not only {', '.join(self.modalities)}")
        self.input = nn.Linear(sum(self.widths[m] for m in self.described), config.hidden)
        self.edge_projection = EdgeProjection(self.widths, config.edge_width)
        self.graph = KnowledgeGraph(
            config.hidden, config.heads, config.edge_width, config.feed_forward, config.layers, config.graph_dropout
        )
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(config.hidden, len(task.labels))

    def encoder_parameters(self) -> list[nn.Parameter]:
        """The backbone's, where it is pretrained."""
        return list(self.encoder.parameters()) if self.encoder is not None and self.encoder.pretrained else []

    def text_packer(self) -> Packer | None:
        """Makes a sequence of each utterance, where there is a backbone to read it."""
        return None if self.encoder is None else self.encoder.packer

    def forward(self, batch: DialogueBatch, across: Reduction = ALONE) -> Output:
        """Logits [B, T, C] and the classification loss."""
        vectors = self.vectors(batch)
        utterances = self.input(torch.cat([vectors[m] for m in self.described], dim=-1))
        edges = knowledge_edges(batch, self.hops, self.others_together)
        states = self.dropout(self.graph(utterances, self.edge_projection(vectors), edges, batch))
        if self.residual:
            states = states + utterances
        return self.classified(self.classifier(states), batch)

    def vectors(self, batch: DialogueBatch) -> dict[str, Tensor]:
        """Modality to vectors [N, D], those of the text by the backbone where there is one."""
        vectors: dict[str, Tensor] = self.inputs(batch)[0] if self.inputs.widths else {}
        return vectors if self.encoder is None else vectors | {TEXT: self.encoder(cast(MarkedSequences, batch.tokens))}

    def _beside_text(self) -> list[tuple[str, int]]:
        """Modalities beside the text that a backbone reads, and their widths."""
        if TEXT not in self.modalities:
            raise UserError(f"skaig's backbone reads the text, but modalities are only {', '.join(self.modalities)}")
        return [(m, self.widths[m]) for m in self.modalities if m != TEXT]


class EdgeProjection(nn.Module):
    """One affine map of all relations' vectors; of the bias alone, where the corpus has none of them."""

    def __init__(self, widths: Mapping[str, int], edge_width: int) -> None:
        super().__init__()
        known = {name: widths[name] for name in KNOWLEDGE if name in widths}
        if len(set(known.values())) > 1:
            raise UserError(f"COMET's vectors must all be of one width, not {known}")
        if absent := [name for name in KNOWLEDGE if name not in known]:
            logger.warning("skaig runs without %s: zeros stand for them", ", ".join(absent))
        self.known = tuple(known)
        bound = next(iter(known.values()), edge_width) ** -0.5
        self.bias = nn.Parameter(torch.empty(edge_width).uniform_(-bound, bound))
        self.weight = nn.Parameter(torch.empty(edge_width, known[self.known[0]])) if known else None
        if self.weight is not None:
            nn.init.uniform_(self.weight, -bound, bound)

    def forward(self, vectors: Mapping[str, Tensor]) -> Tensor:
        """Modality to vectors [N, D] -> knowledge of each type [N, 4, E]."""
        utterances = len(next(iter(vectors.values())))
        if self.weight is None:
            return self.bias.expand(utterances, len(KNOWLEDGE), -1)
        zero = torch.zeros_like(vectors[self.known[0]])
        stacked = torch.stack([vectors[name] if name in self.known else zero for name in KNOWLEDGE], dim=1)
        return nn.functional.linear(stacked, self.weight, self.bias)


def with_text(task: Task, width: int) -> Task:
    """The task with text vectors of that width before all others, whether or not the corpus has some of its own."""
    widths = {name: w for name, w in task.widths.items() if name != TEXT}
    return replace(task, widths={TEXT: width, **widths}, statistics={})
