"""Graphs over the utterances of a dialogue, as dense matrices [B, T, T], and convolutions over them.

A row is a source and a column a target, unless it is said otherwise.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dferc.corpus.batch import DialogueBatch


def window(mask: Tensor, past: int | None, future: int | None) -> Tensor:
    """Real utterances at most ``past`` before and ``future`` behind each, itself too: mask [B, T] -> [B, T, T] bool.

    A row is the utterance at the window's centre; None is no limit.
    """
    turn = torch.arange(mask.shape[1], device=mask.device)
    ahead = turn - turn.unsqueeze(1)
    near = torch.ones_like(ahead, dtype=torch.bool)
    if past is not None:
        near = near & (ahead >= -past)
    if future is not None:
        near = near & (ahead <= future)
    return near & mask.unsqueeze(1) & mask.unsqueeze(2)


def equal(ids: Tensor) -> Tensor:
    """Which pairs have the same number, of a speaker or a dialogue: [B, T] -> [B, T, T] bool, symmetric."""
    return ids.unsqueeze(1) == ids.unsqueeze(2)


def predecessors(together: Tensor, same_speaker: Tensor, back: int) -> Tensor:
    """Who is heard by whom in DAG-ERC: a row hears the columns [B, T, T] bool.

    Walking back from an utterance, everything until the ``back``-th utterance of the same speaker, that one included.

    Args:
        together: [B, T, T] whether both are real and of one dialogue.
        same_speaker: [B, T, T] whether one person says both.
        back: how many utterances of the same speaker are reached.
    """
    earlier = together.tril(-1)
    own = (same_speaker & earlier).int()
    own_between = own.sum(-1, keepdim=True) - own.cumsum(-1)
    return earlier & (own_between < back)


class RelationalConvolution(nn.Module):
    """A convolution whose matrix depends on who says the source, who says the target, and which of them comes first.

        y_j = sum_i e_ij x_i W_r(i,j) + x_j W_self + b        W_r = sum_k c_rk V_k        (Schlichtkrull et al., 2018)

    r = 2 (speaker(i) P + speaker(j)) + (0 if i is before j else 1). Sources are first summed by their speaker and
    order, 2 P sums a target, so that no edge ever needs a matrix of its own.
    """

    def __init__(self, width_in: int, width_out: int, parties: int, bases: int) -> None:
        """Uniform start within 1 / sqrt(bases * width_in) [code: RGCNConv of torch_geometric 1.3].

        Args:
            width_in: of x.
            width_out: of y.
            parties: P, people who have relations of their own; any further ones share those of the last.
            bases: V, matrices of which those of all relations are made.
        """
        super().__init__()
        self.parties = parties
        self.bases = nn.Parameter(torch.empty(bases, width_in, width_out))
        self.coefficients = nn.Parameter(torch.empty(2 * parties * parties, bases))
        self.self_weight = nn.Parameter(torch.empty(width_in, width_out))
        self.bias = nn.Parameter(torch.empty(width_out))
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -((bases * width_in) ** -0.5), (bases * width_in) ** -0.5)

    def forward(self, nodes: Tensor, edges: Tensor, batch: DialogueBatch, own: Tensor | None = None) -> Tensor:
        """Nodes [N, D_in], weights of the edges [B, T, T], and of x W_self [N, 1] where it is not 1: [N, D_out]."""
        speakers = batch.speakers.clamp_max(self.parties - 1)
        spoken = F.one_hot(speakers, self.parties).to(nodes.dtype)
        by_speaker = torch.einsum("btp,btd->btpd", spoken, batch.padded(nodes)).flatten(2)
        orders = [before_or_not.transpose(1, 2) @ by_speaker for before_or_not in (edges.triu(1), edges.tril())]
        sums = batch.flat(torch.stack(orders, 2)).reshape(len(nodes), 2, self.parties, nodes.shape[1])
        relations = self.coefficients.view(self.parties, self.parties, 2, -1).permute(1, 2, 0, 3)
        mixed = torch.einsum("nopd,nopk->nkd", sums, relations[batch.flat(speakers)])
        messages = mixed.flatten(1) @ self.bases.flatten(0, 1)
        return messages + (nodes if own is None else nodes * own) @ self.self_weight + self.bias


class GraphConvolution(nn.Module):
    """y_j = sum_i e_ij x_i W + U x_j + b, one matrix for all neighbours (Morris et al., 2019)."""

    def __init__(self, width_in: int, width_out: int) -> None:
        """Uniform start within 1 / sqrt(width_in) [code: GraphConv of torch_geometric 1.3]."""
        super().__init__()
        self.neighbour_weight = nn.Parameter(torch.empty(width_in, width_out))
        nn.init.uniform_(self.neighbour_weight, -(width_in**-0.5), width_in**-0.5)
        self.own = nn.Linear(width_in, width_out)

    def forward(self, nodes: Tensor, edges: Tensor, batch: DialogueBatch, own: Tensor | None = None) -> Tensor:
        """Nodes [N, D_in], weights of the edges [B, T, T], and of U x_j [N, 1] where it is not 1: [N, D_out]."""
        gathered = batch.flat(edges.transpose(1, 2) @ batch.padded(nodes))
        own_part: Tensor = self.own(nodes if own is None else nodes * own)
        return gathered @ self.neighbour_weight + own_part
