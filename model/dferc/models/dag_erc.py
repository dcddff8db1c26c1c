"""DAG-ERC: a recurrence over a directed acyclic graph; one hears what was said since one's own last utterance.

    h0_i = relu(W x_i + b)                                    layers l = 1 .. L, utterances i in order:
    a_ij = softmax over the predecessors j of i of w . h(l)_j
    m_i  = sum_j a_ij W_same h(l)_j or a_ij W_other h(l)_j    by whether one person says i and j; 0 without predecessors
    h(l)_i = GRU_node(input h(l-1)_i, state m_i) + GRU_context(input m_i, state h(l-1)_i)
    logits = MLP([h0 ; h1 ; ... ; hL ; x])                    [general2 attention with tanh before it]

Predecessors of i: back to the ``back``-th utterance of the same speaker, all between too. No look-ahead, unless
``nodal_attention`` is global. Source of the equations and defaults: shenwzh3/DAG-ERC, model.py DAGERC_fushion [code].

Paper and release add w' . h(l-1)_i + b to the scores, which is the same for all j and cancels in the softmax: attention
does not depend on who asks. Those parameters, which no gradient reaches, are not here.
The paper classifies [h0 ; ... ; hL], without x, with one hidden layer: ``raw_inputs: false, mlp_layers: 1``.
Not here: the graph variants and attention types which the release defines beside those that it runs.
"""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any, ClassVar, Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from dferc.corpus.batch import DialogueBatch
from dferc.layers.acyclic import AcyclicLayer, in_lanes
from dferc.layers.attention import DialogueAttention
from dferc.layers.graphs import equal, predecessors
from dferc.layers.reduction import ALONE, Reduction
from dferc.models.base import ModelConfig, Output, Task
from dferc.models.feature_model import FeatureConfig, FeatureModel


class DAGERCConfig(FeatureConfig):
    """Settings of DAG-ERC."""

    hidden: int = Field(300, ge=1, description="width of every layer [code: hidden_dim]")
    graph_layers: int = Field(4, ge=1, description="layers over the graph [code: gnn_layers, README]")
    mlp_layers: int = Field(2, ge=1, description="hidden layers before the classifier [code]; 1 in the paper")
    back: int = Field(1, ge=1, description="utterances of its speaker that an utterance hears [code: windowp]")
    raw_inputs: bool = Field(True, description="classify the utterance vectors too [code]; not in the paper")
    nodal_attention: Literal["none", "past", "global"] = Field(
        "none", description="attention over the dialogue's states before the MLP [code: nodal_att_type]"
    )
    dropout: float = Field(0.2, ge=0, lt=1, description="before the classifier [code: README]")


class DAGERC(FeatureModel):
    """The model of Shen et al. (2021)."""

    name: ClassVar[str] = "dag_erc"
    causal: ClassVar[bool] = True
    citation: ClassVar[str] = (
        "W. Shen, S. Wu, Y. Yang, X. Quan. Directed Acyclic Graph Network for Conversational Emotion Recognition. "
        "ACL-IJCNLP 2021"
    )
    config_type: ClassVar[type[ModelConfig]] = DAGERCConfig
    prefers: ClassVar[tuple[str, ...]] = ("text",)
    iemocap_weights: ClassVar[tuple[float, ...]] = (1.0,) * 6
    recipes: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "iemocap": {
            "learning_rate": 5e-4, "weight_decay": 0.0, "batch_dialogues": 16, "epochs": 30, "gradient_clip": 5.0,
        },
        "meld": {
            "learning_rate": 1e-5, "weight_decay": 0.0, "batch_dialogues": 64, "epochs": 70, "gradient_clip": 5.0,
            "graph_layers": 2, "dropout": 0.1,
        },
    }  # fmt: skip
    small: ClassVar[Mapping[str, Any]] = {"hidden": 6, "graph_layers": 2, "nodal_attention": "past"}

    def __init__(self, config: ModelConfig, task: Task) -> None:
        super().__init__(config, task)
        config = cast(DAGERCConfig, config)
        self.back = config.back
        self.raw_inputs = config.raw_inputs
        raw = sum(self.widths.values())
        self.input = nn.Linear(raw, config.hidden)
        self.layers = nn.ModuleList(AcyclicLayer(config.hidden) for _ in range(config.graph_layers))
        width = config.hidden * (config.graph_layers + 1) + raw * config.raw_inputs
        self.nodal_attention = (
            None
            if config.nodal_attention == "none"
            else DialogueAttention(width, squash=True, past=config.nodal_attention == "past")
        )
        widths = [width, *[config.hidden] * config.mlp_layers]
        self.mlp = nn.ModuleList(nn.Linear(*pair) for pair in pairwise(widths))
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(config.hidden, len(task.labels))

    def forward(self, batch: DialogueBatch, across: Reduction = ALONE) -> Output:
        """Logits [B, T, C] and the classification loss."""
        states, _ = self.states(batch)
        if self.nodal_attention is not None:
            states, _ = self.nodal_attention(states, batch)
        for layer in self.mlp:
            states = torch.relu(layer(states))
        return self.classified(self.classifier(self.dropout(states)), batch)

    def states(self, batch: DialogueBatch) -> tuple[Tensor, list[Tensor]]:
        """States of all layers side by side [N, ...], and each layer's attention [R, S, S] over the batch's lanes.

        The recurrence runs over lanes, in which several short dialogues follow each other: no one hears across them.
        """
        lanes = batch.lanes
        same_speaker = equal(in_lanes(batch.flat(batch.speakers), lanes))
        dialogue = in_lanes(batch.dialogue + 1, lanes)  # 0 is an empty place
        heard = predecessors(equal(dialogue) & (dialogue > 0).unsqueeze(2), same_speaker, self.back)
        inputs = self.inputs.joined(batch)
        states, attentions = [torch.relu(self.input(inputs))], []
        for layer in self.layers:
            outputs, attention = layer(in_lanes(states[-1], lanes), heard, same_speaker)
            states.append(outputs.flatten(0, 1).index_select(0, lanes.place))
            attentions.append(attention)
        return torch.cat([*states, inputs] if self.raw_inputs else states, dim=-1), attentions
