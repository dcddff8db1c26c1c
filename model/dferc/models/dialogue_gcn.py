"""DialogueGCN: utterances hear their neighbours over a graph that knows who speaks to whom and who came first.

    g = BiLSTM(x)                    edges from i to j, for i - p <= j <= i + f, the utterance itself too
    e_ij = exp(w_i . g_j) / (sum over i's window of exp(w_i . g_k) + 1e-10 * the same over the rest)
    h1_j = sum_i e_ij W_r(i,j) g_i + W_0 g_j + b                     r: speakers of i and j, and whether i is before j
    h2_j = sum_i W_1 h1_i + W_2 h1_j + b
    a = general2 attention with tanh over [g ; h2]                   logits = V relu(U a + c) + d

w_i is a row of ``edge_attention`` for the *place* i in the dialogue, whatever is said there, and weights sum to one
over what leaves a node, though messages are summed where they arrive. So it is in the release, DialogueGCN/model.py of
declare-lab/conv-emotion with the convolutions of torch_geometric 1.3 [code]; see ``RelationalConvolution`` for W_r.

The paper (equations 1 to 6) has a BiGRU, ``context: gru``, and these, ``equations: paper``:
    e_ij = softmax over the window of j of g_j . W g_i
    h1_j = relu(sum_{i != j} e_ij / c_ij W_r g_i + e_jj W_0 g_j)     c_ij: edges into j of the relation of i to j
    h2_j = relu(sum_{i != j} W_1 h1_i + e_jj W_2 h1_j)               and no tanh in the attention.
Not here: the CNN over words, which made the release's text vectors, and its base models DialogueRNN and none.
"""

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from dferc.corpus.batch import DialogueBatch
from dferc.layers.attention import DialogueAttention, masked_softmax
from dferc.layers.graphs import GraphConvolution, RelationalConvolution, equal, window
from dferc.layers.gru import DialogueGRU
from dferc.layers.recurrent import DialogueLSTM
from dferc.layers.reduction import ALONE, Reduction
from dferc.models.base import ModelConfig, Output, Task
from dferc.models.feature_model import FeatureConfig, FeatureModel


class DialogueGCNConfig(FeatureConfig):
    """Settings of DialogueGCN."""

    context: Literal["lstm", "gru"] = Field("lstm", description="what reads the dialogue [code]; gru in the paper")
    context_hidden: int = Field(100, ge=1, description="width of each of its directions [code: D_e]")
    context_layers: int = Field(2, ge=1, description="its layers [code]")
    graph_hidden: int = Field(100, ge=1, description="width of both convolutions and the last hidden layer [code]")
    bases: int = Field(30, ge=1, description="matrices of which those of the relations are made [code: num_bases]")
    window_past: int | None = Field(10, ge=0, description="utterances back that an edge reaches; null: all [code]")
    window_future: int | None = Field(10, ge=0, description="utterances ahead that it reaches; null: all [code]")
    positions: int = Field(
        110, ge=1, description="places in a dialogue with edge weights of their own; later ones share the last [code]"
    )
    parties: int = Field(
        10,
        ge=1,
        description="people of a dialogue with relations of their own, any further ones share the last's [ours: MELD "
        "has up to 9; the release 2, for IEMOCAP alone]; relations that never occur change nothing",
    )
    dropout: float = Field(0.4, ge=0, lt=1, description="before the classifier and in the context [code: README]")
    nodal_attention: bool = Field(True, description="attend to the whole dialogue before the classifier [code: README]")
    equations: Literal["released", "paper"] = Field(
        "released", description="of edge weights, convolutions and attention; see the head of the module [code]"
    )
    padding: Literal["exact", "released"] = Field(
        "exact", description="released: the backward context starts in the padding behind short dialogues [code]"
    )


class DialogueGCN(FeatureModel):
    """The model of Ghosal et al. (2019), in the form of its first release."""

    name: ClassVar[str] = "dialogue_gcn"
    citation: ClassVar[str] = (
        "D. Ghosal, N. Majumder, S. Poria, N. Chhaya, A. Gelbukh. DialogueGCN: A Graph Convolutional Neural Network "
        "for Emotion Recognition in Conversation. EMNLP-IJCNLP 2019"
    )
    config_type: ClassVar[type[ModelConfig]] = DialogueGCNConfig
    prefers: ClassVar[tuple[str, ...]] = ("text",)
    recipes: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        corpus: {"learning_rate": 3e-4, "weight_decay": 0.0, "batch_dialogues": 32, "epochs": 60, "parties": parties}
        for corpus, parties in (("iemocap", 2), ("meld", 9))
    }
    small: ClassVar[Mapping[str, Any]] = {
        "context_hidden": 4, "context_layers": 1, "graph_hidden": 6, "bases": 3, "window_past": 2, "window_future": 1,
        "positions": 8, "parties": 3,
    }  # fmt: skip

    def __init__(self, config: ModelConfig, task: Task) -> None:
        super().__init__(config, task)
        self.config = config = cast(DialogueGCNConfig, config)
        self.from_paper = config.equations == "paper"
        width = 2 * config.context_hidden
        self.context = (DialogueLSTM if config.context == "lstm" else DialogueGRU)(
            sum(self.widths.values()),
            config.context_hidden,
            config.context_layers,
            layer_dropout=config.dropout,
            over_padding=config.padding == "released",
        )
        self.edge_attention = nn.Linear(width, width if self.from_paper else config.positions, bias=False)
        self.relation = RelationalConvolution(width, config.graph_hidden, config.parties, config.bases)
        self.graph = GraphConvolution(config.graph_hidden, config.graph_hidden)
        width += config.graph_hidden
        self.attention = DialogueAttention(width, squash=not self.from_paper) if config.nodal_attention else None
        self.hidden = nn.Linear(width, config.graph_hidden)
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(config.graph_hidden, len(task.labels))

    def forward(self, batch: DialogueBatch, across: Reduction = ALONE) -> Output:
        """Logits [B, T, C] and the classification loss."""
        states = self.context(self.inputs.joined(batch), batch)
        _, heard = self.convolved(states, batch)
        nodes = torch.cat([states, heard], dim=-1)
        if self.attention is not None:
            nodes, _ = self.attention(nodes, batch)
        hidden = self.dropout(torch.relu(self.hidden(nodes)))
        return self.classified(self.classifier(hidden), batch)

    def convolved(self, states: Tensor, batch: DialogueBatch) -> tuple[Tensor, Tensor]:
        """States [N, 2 * context_hidden] after the first and after the second convolution [N, graph_hidden]."""
        edges = self.edges(states, batch)
        near = window(batch.mask, self.config.window_past, self.config.window_future)
        if not self.from_paper:
            first = self.relation(states, edges, batch)
            return first, self.graph(first, near.to(first.dtype), batch)
        own = batch.flat(edges.diagonal(dim1=1, dim2=2)).unsqueeze(-1)
        others = near.transpose(1, 2) & ~torch.eye(near.shape[1], dtype=torch.bool, device=near.device)
        alike = self._of_one_relation(others, batch).clamp_min(1)
        first = torch.relu(self.relation(states, others * edges / alike, batch, own))
        return first, torch.relu(self.graph(first, others.to(first.dtype), batch, own))

    def edges(self, states: Tensor, batch: DialogueBatch) -> Tensor:
        """Weights of all edges [B, T, T], zero where there is none; a row is a source, a column a target."""
        padded = batch.padded(states)
        near = window(batch.mask, self.config.window_past, self.config.window_future)
        if self.from_paper:
            scores = self.edge_attention(padded) @ padded.transpose(1, 2)
            return masked_softmax(scores, near).transpose(1, 2)
        places = torch.arange(near.shape[1], device=near.device).clamp_max(self.config.positions - 1)
        scores = self.edge_attention.weight[places] @ padded.transpose(1, 2)
        return masked_softmax(scores + OUTSIDE * ~near, batch.mask.unsqueeze(1)) * near

    def _of_one_relation(self, edges: Tensor, batch: DialogueBatch) -> Tensor:
        """For each edge, how many edges into its target have its relation: bool [B, T, T] -> [B, T, T]."""
        same_speaker = equal(batch.speakers.clamp_max(self.config.parties - 1)).float()
        before, behind = edges.float().triu(1), edges.float().tril()
        return (same_speaker @ before) * before + (same_speaker @ behind) * behind


OUTSIDE = math.log(1e-10)
"""Added to the scores outside the window [code: MaskedEdgeAttention]. The release counts the padded steps there too; at
this weight they change no float32, and they are left out."""
