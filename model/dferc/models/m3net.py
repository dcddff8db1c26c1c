"""M3Net: a hypergraph averages over modalities and dialogue, beside it a graph that keeps what differs.

    t = BiGRU(W_t mean_k(norm_k(t_k)) + b_t) + e_speaker    a = W_a x_a + b_a    v = W_v x_v + b_v
    h_0 = q_0 = W [t ; a ; v] + b
    h_l = HypergraphLayer(h_{l-1})        dferc/layers/hypergraph.py
    q_k = FrequencyLayer(q_{k-1})         dferc/layers/frequency.py
    logits = W relu([h_t ; q_t ; h_a ; q_a ; h_v ; q_v]) + b

t_k is the utterance in RoBERTa's last four layers; those that the corpus has are averaged. A modality that an utterance
lacks is no node. On MELD the release takes a focal loss of its own making.

Source of the defaults: feiyuchen7/M3NET, the commands of its README, train.py, model.py, model_hyper.py [code]. There
the learned weights of nodes and hyperedges are looked up by position in the batch, so what a dialogue is given depends
on those before it; here by position in the dialogue, except with ``padding: released``. The matrix of the hypergraph's
layers and the vectors of hyperedge types, which the release makes and does not use, are not here, nor is its residual
of the nodes' own vectors, which its commands leave out.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from dferc.corpus.batch import DialogueBatch
from dferc.errors import UserError
from dferc.layers.batch_norm import UtteranceNorm
from dferc.layers.frequency import FrequencyLayer, neighbours
from dferc.layers.gru import DialogueGRU
from dferc.layers.hypergraph import HypergraphLayer, PositionWeights
from dferc.layers.losses import focal_spread
from dferc.layers.reduction import ALONE, Reduction
from dferc.models.base import ModelConfig, Output, Task
from dferc.models.cosmic import TEXT_LAYERS
from dferc.models.feature_model import FeatureConfig, FeatureModel


class M3NetConfig(FeatureConfig):
    """Settings of M3Net."""

    normalise: Literal["batch", "none"] = Field("batch", description="of each text layer [code: its BN]")
    text_projection: Literal["linear", "none"] = Field(
        "linear", description="before the GRU: a linear map [code: IEMOCAP], none [code: MELD]"
    )
    encoder_width: int = Field(
        512, ge=2, multiple_of=2, description="of each modality's encoded vectors [code: D_g, 1024 on MELD]"
    )
    gru_layers: int = Field(2, ge=1, description="layers of the BiGRU over the text [code]")
    graph_width: int = Field(512, ge=1, description="of the states of both graphs [code: graph_h]")
    hypergraph_layers: int = Field(3, ge=1, description="L [code: num_L]")
    frequency_layers: int = Field(4, ge=1, description="K [code: num_K, 4 on IEMOCAP, 3 on MELD]")
    node_weights: int = Field(5200, ge=1, description="learned ones; further nodes share the last [code: EW_weight]")
    hyperedge_weights: int = Field(1000, ge=1, description="learned ones; further hyperedges share the last [code]")
    dropout: float = Field(
        0.5, ge=0, lt=1, description="between layers of the GRU, before the classifier [code: 0.4 on MELD]"
    )
    parties: int = Field(
        9, ge=1, description="speaker embeddings; further parties share the last [code: 2 on IEMOCAP, 9 on MELD]"
    )
    objective: Literal["cross_entropy", "focal"] = Field(
        "cross_entropy", description="cross_entropy [code: IEMOCAP]; focal, the release's own, unweighted [code: MELD]"
    )
    focal_gamma: float = Field(2.5, ge=0, description="exponent of the focal loss [code]")
    padding: Literal["exact", "released"] = Field(
        "exact",
        description="released: batch norm and the backward GRU see padding, and positions go on through the batch "
        "[code]",
    )


class M3Net(FeatureModel):
    """The model of Chen et al. (2023)."""

    name: ClassVar[str] = "m3net"
    citation: ClassVar[str] = (
        "F. Chen, J. Shao, S. Zhu, H. T. Shen. Multivariate, Multi-Frequency and Multimodal: Rethinking Graph Neural "
        "Networks for Emotion Recognition in Conversation. CVPR 2023"
    )
    config_type: ClassVar[type[ModelConfig]] = M3NetConfig
    prefers: ClassVar[tuple[str, ...]] = (*TEXT_LAYERS, "audio", "visual")
    recipes: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "iemocap": {"learning_rate": 1e-4, "weight_decay": 3e-5, "batch_dialogues": 16, "epochs": 80, "parties": 2},
        "meld": {
            "learning_rate": 1e-4,
            "weight_decay": 3e-5,
            "batch_dialogues": 16,
            "epochs": 15,
            "text_projection": "none",
            "encoder_width": 1024,
            "frequency_layers": 3,
            "dropout": 0.4,
            "parties": 9,
            "objective": "focal",
        },
    }
    small: ClassVar[Mapping[str, Any]] = {
        "encoder_width": 8, "graph_width": 6, "hypergraph_layers": 2, "frequency_layers": 2, "node_weights": 20,
        "hyperedge_weights": 9,
    }  # fmt: skip

    def __init__(self, config: ModelConfig, task: Task) -> None:
        super().__init__(config, task)
        self.config = config = cast(M3NetConfig, config)
        width, graph_width, released = config.encoder_width, config.graph_width, config.padding == "released"
        self.layers = [name for name in self.modalities if name in TEXT_LAYERS]
        self.beside = [name for name in self.modalities if name not in TEXT_LAYERS]
        if self.layers:
            text = read = self._text_width()
            self.norm = UtteranceNorm(len(self.layers), text) if config.normalise == "batch" else None
            if config.text_projection == "linear":
                self.text_projection, read = nn.Linear(text, width), width
            self.context = DialogueGRU(read, width // 2, config.gru_layers, config.dropout, over_padding=released)
            self.speaker = nn.Embedding(config.parties, width)
        self.projections = nn.ModuleDict({name: nn.Linear(self.widths[name], width) for name in self.beside})
        self.node_projection = nn.Linear(width, graph_width)
        self.weights = PositionWeights(config.node_weights, config.hyperedge_weights, over_batch=released)
        self.hypergraph = nn.ModuleList(HypergraphLayer(graph_width) for _ in range(config.hypergraph_layers))
        self.frequency = nn.ModuleList(FrequencyLayer(graph_width) for _ in range(config.frequency_layers))
        self.dropout = nn.Dropout(config.dropout)
        nodes = len(self.beside) + bool(self.layers)
        self.classifier = nn.Linear(nodes * 2 * graph_width, len(task.labels))

    def forward(self, batch: DialogueBatch, across: Reduction = ALONE) -> Output:
        """Logits [B, T, C] and the classification loss."""
        fused = self.fused(*self.nodes(batch, across), batch)
        logits = self.classifier(torch.relu(self.dropout(fused)))
        if self.config.objective == "cross_entropy":
            return self.classified(logits, batch)
        loss = focal_spread(logits, self.known(batch), self.config.focal_gamma)
        return self.classified(logits, batch, {"classification": loss})

    def nodes(self, batch: DialogueBatch, across: Reduction) -> tuple[Tensor, Tensor]:
        """Vectors that enter the graphs [N, M, H] and presence [N, M]: the text, then the other modalities."""
        vectors, present = self.inputs(batch)
        here = dict(zip(self.modalities, present, strict=True))
        encoded = [self.projections[name](vectors[name]) for name in self.beside]
        there = [here[name] for name in self.beside]
        if self.layers:
            layers, of_layers = (torch.stack([part[name] for name in self.layers]) for part in (vectors, here))
            encoded.insert(0, self.text(layers, of_layers, batch, across))
            there.insert(0, of_layers.amax(0))
        return self.node_projection(torch.stack(encoded, dim=1)), torch.stack(there, dim=1)

    def text(self, layers: Tensor, present: Tensor, batch: DialogueBatch, across: Reduction) -> Tensor:
        """Text layers [L, N, D] and presence [L, N] -> the text in its dialogue, and who says it, [N, D]."""
        layers, counted = F.pad(layers, (0, 0, 0, 1)), F.pad(present, (0, 1))  # the last place is that of padding
        if self.norm is not None:
            padding = batch.mask.numel() - len(batch.valid) if self.config.padding == "released" else 0
            layers = self.norm(layers, counted, across, zeros=padding)
        read = (layers * F.pad(present, (0, 1), value=1.0).unsqueeze(-1)).mean(0)
        if self.config.text_projection == "linear":
            read = self.text_projection(read)
        heard: Tensor = self.context(read[:-1], batch, at_padding=read[-1])
        speaker: Tensor = self.speaker(batch.flat(batch.speakers).clamp_max(self.config.parties - 1))
        return heard + speaker

    def fused(self, nodes: Tensor, present: Tensor, batch: DialogueBatch) -> Tensor:
        """What both graphs make of the nodes, side by side, [N, M * 2H]."""
        averaged = kept = nodes
        hypergraph, edges = self.weights(present, batch), neighbours(present, batch)
        for layer in self.hypergraph:
            averaged = layer(averaged, hypergraph)
        for layer in self.frequency:
            kept = layer(kept, edges)
        both = torch.cat([averaged, kept], dim=-1) * present.unsqueeze(-1)
        return both.flatten(1)

    def _text_width(self) -> int:
        widths = {self.widths[name] for name in self.layers}
        if len(widths) > 1:
            named = ", ".join(f"{name} ({self.widths[name]})" for name in self.layers)
            raise UserError(f"m3net averages text layers, so their vectors must be equally wide; they are {named}")
        return widths.pop()
