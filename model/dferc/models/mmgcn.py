"""MMGCN: deep graph convolution over a graph with a node for each modality of each utterance.

    t = BiLSTM(W_t x_t + b_t) + e_speaker    a = W_a x_a + b_a    v = W_v x_v + b_v
    A: angular similarity, all pairs of a dialogue inside a modality and the modalities of one utterance
    h = GCNII(A, [a ; v ; t])    logits = W relu([a ; h_a ; v ; h_v ; t ; h_t]) + b

The equations of the graph are in dferc/layers/multimodal_graph.py. A modality that an utterance lacks is no node.
Source of the defaults: hujingwen6666/MMGCN, run.sh, train.py, model.py, model_mm.py [code]. It builds 64 layers; its
command line and the paper say 4. It adds the speaker's embedding to the text; in the paper the embedding stands beside
the vectors of all three modalities. On MELD it takes a focal loss of its own making.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from dferc.corpus.batch import TEXT, DialogueBatch
from dferc.layers.losses import focal_spread
from dferc.layers.multimodal_graph import DeepGraph, MultimodalGraph
from dferc.layers.recurrent import DialogueLSTM
from dferc.layers.reduction import ALONE, Reduction
from dferc.models.base import ModelConfig, Output, Task
from dferc.models.feature_model import FeatureConfig, FeatureModel


class MMGCNConfig(FeatureConfig):
    """Settings of MMGCN."""

    encoder_width: int = Field(200, ge=2, multiple_of=2, description="of each modality's encoded vectors [code: 2 D_e]")
    lstm_layers: int = Field(2, ge=1, description="layers of the BiLSTM over the text [code]")
    graph_width: int = Field(100, ge=1, description="of the states of the graph [code: graph_h]")
    depth: int = Field(64, ge=1, description="graph layers [code: 64, whatever the command line says; paper: 4]")
    restart: float = Field(0.1, ge=0, le=1, description="alpha, share of the first states in each layer [code]")
    decay: float = Field(0.5, gt=0, description="lambda; a layer l is learned by ln(lambda / l + 1) [code]")
    dropout: float = Field(0.4, ge=0, lt=1, description="in the BiLSTM, in the graph, before the classifier [code]")
    speaker_embedding: Literal["text", "beside", "none"] = Field(
        "text", description="text: added to the text [code]; beside: beside every modality's vectors [paper]; none"
    )
    parties: int = Field(
        9, ge=1, description="speaker embeddings; further parties share the last [code: 2 on IEMOCAP, 9 on MELD]"
    )
    objective: Literal["cross_entropy", "focal"] = Field(
        "cross_entropy", description="cross_entropy [code: IEMOCAP]; focal, the release's own, unweighted [code: MELD]"
    )
    focal_gamma: float = Field(2.5, ge=0, description="exponent of the focal loss [code]")
    padding: Literal["exact", "released"] = Field(
        "exact", description="released: the backward LSTM starts in the padding behind short dialogues [code]"
    )


class MMGCN(FeatureModel):
    """The model of Hu et al. (2021)."""

    name: ClassVar[str] = "mmgcn"
    citation: ClassVar[str] = (
        "J. Hu, Y. Liu, J. Zhao, Q. Jin. MMGCN: Multimodal Fusion via Deep Graph Convolution Network for Emotion "
        "Recognition in Conversation. ACL 2021"
    )
    config_type: ClassVar[type[ModelConfig]] = MMGCNConfig
    prefers: ClassVar[tuple[str, ...]] = ("audio", "visual", "text")
    recipes: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "iemocap": {"learning_rate": 3e-4, "weight_decay": 3e-5, "batch_dialogues": 16, "epochs": 20, "parties": 2},
        "meld": {
            "learning_rate": 1e-3,
            "weight_decay": 0.0,
            "batch_dialogues": 16,
            "epochs": 60,
            "parties": 9,
            "objective": "focal",
        },
    }
    small: ClassVar[Mapping[str, Any]] = {"encoder_width": 8, "graph_width": 6, "depth": 3}

    def __init__(self, config: ModelConfig, task: Task) -> None:
        super().__init__(config, task)
        self.config = config = cast(MMGCNConfig, config)
        width = config.encoder_width
        self.projections = nn.ModuleDict({m: nn.Linear(d, width) for m, d in self.widths.items()})
        if TEXT in self.widths:
            self.context = DialogueLSTM(
                width,
                width // 2,
                config.lstm_layers,
                layer_dropout=config.dropout,
                over_padding=config.padding == "released",
            )
        heard = config.speaker_embedding == "beside" or (config.speaker_embedding == "text" and TEXT in self.widths)
        self.speaker = nn.Embedding(config.parties, width) if heard else None
        node_width = 2 * width if config.speaker_embedding == "beside" else width
        self.graph = DeepGraph(
            node_width, config.graph_width, config.depth, config.restart, config.decay, config.dropout
        )
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(len(self.widths) * (node_width + config.graph_width), len(task.labels))

    def forward(self, batch: DialogueBatch, across: Reduction = ALONE) -> Output:
        """Logits [B, T, C] and the classification loss."""
        nodes, present = self.nodes(batch)
        graph = MultimodalGraph.of(nodes, present, batch)
        fused = (self.graph(nodes, graph) * present.unsqueeze(-1)).flatten(1)
        logits = self.classifier(torch.relu(self.dropout(fused)))
        if self.config.objective == "cross_entropy":
            return self.classified(logits, batch)
        loss = focal_spread(logits, self.known(batch), self.config.focal_gamma)
        return self.classified(logits, batch, {"classification": loss})

    def nodes(self, batch: DialogueBatch) -> tuple[Tensor, Tensor]:
        """Vectors that enter the graph [N, M, D] and presence [N, M]."""
        vectors, present = self.inputs(batch)
        encoded = {m: self.projections[m](x) for m, x in vectors.items()}
        if TEXT in encoded:
            encoded[TEXT] = self.context(encoded[TEXT], batch, at_padding=self.projections[TEXT].bias)
        if self.speaker is not None:
            speaker = self.speaker(batch.flat(batch.speakers).clamp_max(self.config.parties - 1))
            if self.config.speaker_embedding == "text":
                encoded[TEXT] = encoded[TEXT] + speaker
            else:
                encoded = {m: torch.cat([x, speaker], dim=-1) for m, x in encoded.items()}
        return torch.stack(list(encoded.values()), dim=1), present.T
