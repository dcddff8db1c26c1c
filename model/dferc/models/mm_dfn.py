"""MM-DFN: MMGCN's graph, each party heard by itself, and a memory through the depth of the graph.

    t = BiGRU(u_t) + w_t p_t    a = u_a + w_a p_a    v = u_v + w_v p_v    u_m = W_m x_m + b_m
    p_m: one BiGRU, shared by the modalities, over the u_m of each party alone
    q_0 = relu(W [a ; v ; t] + b)    (g, s) = LSTM(q_l, s)    q_{l+1} = relu(GCNII_l(A, g)) + q_l
    logits = W relu([a ; q_a ; v ; q_v ; t ; q_t]) + b
    L = mean of -w_y (1 - p_y)^gamma log p_y, not divided by the class weights w

A and GCNII are in dferc/layers/multimodal_graph.py. A modality that an utterance lacks is no node, and zero for p_m.
Source of the defaults: zerohd4869/MM-DFN, script/*.sh, run_train_erc.py, model.py, model_mm.py [code]. The scripts
search a grid of depth, learning rate, L2, dropout and gamma, in which the defaults of run_train_erc.py lie. A party's
sequence is followed by zeros up to the end of its dialogue, even where a dialogue is alone, and so it is here.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from dferc.corpus.batch import TEXT, DialogueBatch
from dferc.layers.gru import DialogueGRU
from dferc.layers.losses import focal
from dferc.layers.multimodal_graph import DeepGraph, MultimodalGraph
from dferc.layers.party_context import PartyContext
from dferc.layers.reduction import ALONE, Reduction
from dferc.models.base import ModelConfig, Output, Task
from dferc.models.feature_model import FeatureConfig, FeatureModel


class MMDFNConfig(FeatureConfig):
    """Settings of MM-DFN."""

    encoder_width: int = Field(200, ge=2, multiple_of=2, description="of each modality's encoded vectors [code: 2 D_e]")
    gru_layers: int = Field(2, ge=1, description="layers of the BiGRU over the text and of the parties' [code]")
    graph_width: int = Field(100, ge=1, description="of the states of the graph [code: graph_h]")
    depth: int = Field(16, ge=1, description="graph layers [code: 16 or 32 on IEMOCAP, 16, 32 or 64 on MELD]")
    restart: float = Field(0.2, ge=0, le=1, description="alpha, share of the first states in each layer [code]")
    decay: float = Field(0.5, gt=0, description="lambda; a layer l is learned by ln(lambda / l + 1) [code]")
    memory: bool = Field(True, description="the LSTM through the depth of the graph [code: reason_flag]")
    dropout: float = Field(0.4, ge=0, lt=1, description="in the BiGRUs, in the graph, before the classifier [code]")
    speaker_weight_audio: float = Field(3.0, description="of the parties' states [code: 3 on IEMOCAP, 0.5 on MELD]")
    speaker_weight_visual: float = Field(0.0, description="the same [code: 0 on IEMOCAP, 0.5 on MELD]")
    speaker_weight_text: float = Field(
        1.0, description="the same [code: 1 on IEMOCAP, 1.5 on MELD]; a modality of another name weighs 1 [ours]"
    )
    focal_gamma: float = Field(0.5, ge=0, description="exponent of the focal loss [code: 0.5 or 1]")
    padding: Literal["exact", "released"] = Field(
        "exact", description="released: the backward GRUs start in the padding behind short dialogues [code]"
    )


class MMDFN(FeatureModel):
    """The model of Hu et al. (2022)."""

    name: ClassVar[str] = "mm_dfn"
    citation: ClassVar[str] = (
        "D. Hu, X. Hou, L. Wei, L. Jiang, Y. Mo. MM-DFN: Multimodal Dynamic Fusion Network for Emotion Recognition in "
        "Conversations. ICASSP 2022"
    )
    config_type: ClassVar[type[ModelConfig]] = MMDFNConfig
    prefers: ClassVar[tuple[str, ...]] = ("audio", "visual", "text")
    recipes: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "iemocap": {
            "learning_rate": 3e-4,
            "weight_decay": 1e-4,
            "batch_dialogues": 32,
            "epochs": 30,
            "patience": 5,
        },
        "meld": {
            "learning_rate": 5e-4,
            "weight_decay": 1e-4,
            "batch_dialogues": 32,
            "epochs": 30,
            "patience": 5,
            "speaker_weight_audio": 0.5,
            "speaker_weight_visual": 0.5,
            "speaker_weight_text": 1.5,
        },
    }
    small: ClassVar[Mapping[str, Any]] = {"encoder_width": 8, "graph_width": 6, "depth": 3}

    def __init__(self, config: ModelConfig, task: Task) -> None:
        super().__init__(config, task)
        self.config = config = cast(MMDFNConfig, config)
        width = config.encoder_width
        self.projections = nn.ModuleDict({m: nn.Linear(d, width) for m, d in self.widths.items()})
        self.context = self._gru() if TEXT in self.widths else None
        weights = {m: getattr(config, f"speaker_weight_{m}", 1.0) for m in self.widths}
        self.speaker_weights = {m: weight for m, weight in weights.items() if weight}
        self.speaker = PartyContext(self._gru()) if self.speaker_weights else None
        self.graph = DeepGraph(
            width, config.graph_width, config.depth, config.restart, config.decay, config.dropout, config.memory
        )
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(len(self.widths) * (width + config.graph_width), len(task.labels))

    def forward(self, batch: DialogueBatch, across: Reduction = ALONE) -> Output:
        """Logits [B, T, C] and the classification loss."""
        nodes, present = self.nodes(batch)
        graph = MultimodalGraph.of(nodes, present, batch)
        fused = (self.graph(nodes, graph) * present.unsqueeze(-1)).flatten(1)
        logits = self.classifier(torch.relu(self.dropout(fused)))
        loss = focal(logits, self.known(batch), self.config.focal_gamma)
        return self.classified(logits, batch, {"classification": loss})

    def nodes(self, batch: DialogueBatch) -> tuple[Tensor, Tensor]:
        """Vectors that enter the graph [N, M, D] and presence [N, M]."""
        vectors, present = self.inputs(batch)
        projected = {m: self.projections[m](x) for m, x in vectors.items()}
        encoded = dict(projected)
        if self.context is not None:
            encoded[TEXT] = self.context(projected[TEXT], batch, at_padding=self.projections[TEXT].bias)
        if self.speaker is not None:
            here = dict(zip(projected, present.unsqueeze(-1), strict=True))
            heard = torch.stack([projected[m] * here[m] for m in self.speaker_weights])
            for m, states in zip(self.speaker_weights, self.speaker(heard, batch), strict=True):
                encoded[m] = encoded[m] + self.speaker_weights[m] * states
        return torch.stack(list(encoded.values()), dim=1), present.T

    def _gru(self) -> DialogueGRU:
        config = self.config
        return DialogueGRU(
            config.encoder_width,
            config.encoder_width // 2,
            config.gru_layers,
            layer_dropout=config.dropout,
            over_padding=config.padding == "released",
        )
