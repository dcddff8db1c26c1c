"""What a commonsense model infers of an utterance, chosen among by the utterance's topic.

    e_r = tanh(A_r k_r + a_r)    s = softmax over r and nothing of (B z . e_r / sqrt d, 0)    c = sum_r s_r e_r

Nothing can be chosen too; a relation that an utterance lacks cannot.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from dferc.layers.attention import masked_softmax


class KnowledgeChoice(nn.Module):
    """Attention of a topic to the relations."""

    def __init__(self, widths: Mapping[str, int], topic_width: int, width: int) -> None:
        """``widths`` [R]: relation to the width of its vectors k; ``width`` is that of c."""
        super().__init__()
        self.relations = nn.ModuleDict({name: nn.Linear(known, width) for name, known in widths.items()})
        self.query = nn.Linear(topic_width, width, bias=False)

    def forward(self, topics: Tensor, vectors: Mapping[str, Tensor], present: Tensor) -> tuple[Tensor, Tensor]:
        """Topics z [N, K], relation to k [N, D], presence [R, N] -> c [N, H] and weights [N, R + 1], nothing last."""
        inferred = torch.stack([torch.tanh(part(vectors[name])) for name, part in self.relations.items()], 1)
        scores = (inferred @ self.query(topics).unsqueeze(-1)).squeeze(-1) / inferred.shape[-1] ** 0.5
        here = torch.cat([present.T.bool(), present.new_ones(len(topics), 1).bool()], 1)
        weights = masked_softmax(torch.nn.functional.pad(scores, (0, 1)), here)
        return (weights[:, :-1].unsqueeze(-1) * inferred).sum(1), weights
