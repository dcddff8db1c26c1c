"""COGMEN: a transformer over the dialogue, then a graph of nearby utterances that knows who speaks to whom.

    g  = W Encoder(x) + w                                  x: the vectors of all modalities side by side
    h1 = sum over relations of the mean of its neighbours' g W_r, + g W_self + b
    h2 = leaky_relu(BatchNorm(attention of h1 to its neighbours + S h1 + s))
    logits = V relu(U h2 + c) + d

Edges and relations are those of DialogueGCN; the graph's layers are in dferc/layers/relational_attention.py, the
encoder's in transformer.py. The encoder has no positions: order is known to the graph alone.
Source of the defaults: Exploration-Lab/COGMEN, train.py, cogmen/model [code]. The release numbers speakers by sex, we
by their first turn. Not here: its highway and its classifier on [g ; h2], both off unless asked for, its recurrent
contexts, and its loss for several emotions at once.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from dferc.corpus.batch import DialogueBatch
from dferc.errors import UserError
from dferc.layers.batch_norm import UtteranceNorm
from dferc.layers.graphs import window
from dferc.layers.reduction import ALONE, Reduction
from dferc.layers.relational_attention import EdgeAttention, RelationalMean
from dferc.layers.transformer import Encoder
from dferc.models.base import ModelConfig, Output, Task
from dferc.models.feature_model import FeatureConfig, FeatureModel


class CogmenConfig(FeatureConfig):
    """Settings of COGMEN."""

    context_layers: int = Field(2, ge=1, description="layers of the encoder [code: seqcontext_nlayer]")
    context_heads: int | None = Field(
        None, ge=1, description="its heads; null: the first of 7 to 14 that divides the width of x, else 1 [code]"
    )
    feed_forward: int = Field(2048, ge=1, description="inner width of its feed-forward networks [code: torch's own]")
    hidden: int = Field(100, ge=1, description="width of g, of h1, of a head and of the last layer [code: hidden_size]")
    graph_heads: int = Field(1, ge=1, description="heads of the attention along edges [code: gnn_nheads]")
    window_past: int | None = Field(5, ge=0, description="utterances back that an edge reaches; null: all [code: wp]")
    window_future: int | None = Field(5, ge=0, description="utterances ahead that it reaches; null: all [code: wf]")
    parties: int = Field(
        9,
        ge=1,
        description="people of a dialogue with relations of their own, any further ones share the last's [ours: MELD "
        "has up to 9; the release 2]; relations that never occur change nothing",
    )
    dropout: float = Field(0.5, ge=0, lt=1, description="in the encoder and before the classifier [code: drop_rate]")
    padding: Literal["exact", "released"] = Field(
        "exact", description="released: the encoder hears the padding behind short dialogues [code]"
    )


class Cogmen(FeatureModel):
    """The model of Joshi et al. (2022)."""

    name: ClassVar[str] = "cogmen"
    citation: ClassVar[str] = (
        "A. Joshi, A. Bhat, A. Jain, A. V. Singh, A. Modi. COGMEN: COntextualized GNN based Multimodal Emotion "
        "recognitioN. NAACL 2022"
    )
    config_type: ClassVar[type[ModelConfig]] = CogmenConfig
    prefers: ClassVar[tuple[str, ...]] = ("audio", "text", "visual")
    iemocap_weights: ClassVar[tuple[float, ...]] = (1.0,) * 6
    recipes: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "iemocap": {"learning_rate": 1e-4, "weight_decay": 1e-8, "batch_dialogues": 32, "epochs": 55, "parties": 2}
    }
    small: ClassVar[Mapping[str, Any]] = {
        "context_layers": 1, "feed_forward": 8, "hidden": 8, "graph_heads": 2, "window_past": 2, "window_future": 1,
        "parties": 3,
    }  # fmt: skip

    def __init__(self, config: ModelConfig, task: Task) -> None:
        """Make the layers.

        Raises:
            UserError: ``context_heads`` does not divide the width of all modalities together.
        """
        super().__init__(config, task)
        self.config = config = cast(CogmenConfig, config)
        width = sum(self.widths.values())
        heads = config.context_heads or heads_for(width)
        if width % heads:
            raise UserError(f"cogmen's context_heads ({heads}) must divide the width of all modalities ({width})")
        self.encoder = Encoder(config.context_layers, width, heads, config.feed_forward, config.dropout)
        self.context_output = nn.Linear(width, config.hidden)
        self.relation = RelationalMean(config.hidden, config.hidden, config.parties)
        self.graph_attention = EdgeAttention(config.hidden, config.hidden, config.graph_heads)
        self.graph_norm = UtteranceNorm(1, config.graph_heads * config.hidden)
        self.hidden = nn.Linear(config.graph_heads * config.hidden, config.hidden)
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(config.hidden, len(task.labels))

    def forward(self, batch: DialogueBatch, across: Reduction = ALONE) -> Output:
        """Logits [B, T, C] and the classification loss."""
        _, heard = self.over_graph(self.context(batch), batch)
        everyone = heard.new_ones(1, len(heard))
        states = nn.functional.leaky_relu(self.graph_norm(heard.unsqueeze(0), everyone, across).squeeze(0))
        return self.classified(self.classifier(self.dropout(torch.relu(self.hidden(states)))), batch)

    def context(self, batch: DialogueBatch) -> Tensor:
        """g [N, H] of the utterances."""
        vectors = self.inputs.joined(batch)
        if self.config.padding == "exact":
            encoded = self.encoder(vectors, batch)
        else:
            full = with_padding(batch)
            encoded = self.encoder(full.flat(batch.padded(vectors)), full).index_select(0, batch.valid)
        states: Tensor = self.context_output(encoded)
        return states

    def over_graph(self, states: Tensor, batch: DialogueBatch) -> tuple[Tensor, Tensor]:
        """g [N, H] -> h1 [N, H] and h2 before the norm [N, graph_heads * H]."""
        edges = window(batch.mask, self.config.window_past, self.config.window_future)
        convolved = self.relation(states, edges, batch)
        return convolved, self.graph_attention(convolved, edges, batch)


def heads_for(width: int) -> int:
    """The release's choice of heads for vectors of this width [code: SeqContext]."""
    return next((heads for heads in range(7, 15) if width % heads == 0), 1)


def with_padding(batch: DialogueBatch) -> DialogueBatch:
    """The same dialogues, as if they had been spoken up to the end of the longest."""
    places = torch.arange(batch.mask.numel(), device=batch.mask.device)
    return replace(batch, mask=torch.ones_like(batch.mask), valid=places)
