"""A vector for each modality of an utterance, as the fusion baselines of MM-DFN's repository make it.

    x_m = W_m u_m + b_m    y_m = [V_m x_m + c_m ; x_m]

The repository has no context encoder and no graph in these baselines; of both only a linear map each is left
[code: model.py, DialogueGNNModel with base model and graph type None].
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn


class ExtendedProjection(nn.Module):
    """Two linear maps in a row for each modality, the second beside the first."""

    def __init__(self, widths: Mapping[str, int], projected: int, extra: int) -> None:
        """Make the maps.

        Args:
            widths: modality to the width of its vectors.
            projected: width of x.
            extra: width of what stands before it in y.
        """
        super().__init__()
        self.width = extra + projected
        self.projections = nn.ModuleDict({m: nn.Linear(width, projected) for m, width in widths.items()})
        self.extras = nn.ModuleDict({m: nn.Linear(projected, extra) for m in widths})

    def forward(self, vectors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Modality to u [N, D] -> modality to y [N, extra + projected]."""
        projected = {m: self.projections[m](u) for m, u in vectors.items()}
        return {m: torch.cat([self.extras[m](x), x], dim=-1) for m, x in projected.items()}
