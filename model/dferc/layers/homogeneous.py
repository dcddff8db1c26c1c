"""A linear map of each modality to [1 ; h], as products over modalities take them.

The 1 keeps what fewer modalities say by themselves in the product. Of an utterance without the modality, h is 0, so
that only the others are left of it [ours].
"""

from collections.abc import Mapping

from torch import Tensor, nn
from torch.nn import functional as F


class Homogeneous(nn.Module):
    """The subnetworks of TFN and LMF, in MM-DFN's repository linear [code: model_fusion.py]."""

    def __init__(self, width: int, hidden: Mapping[str, int]) -> None:
        """Make the maps; ``hidden`` is the width of each modality's h."""
        super().__init__()
        self.subnetworks = nn.ModuleDict({m: nn.Linear(width, wide) for m, wide in hidden.items()})

    def forward(self, vectors: Mapping[str, Tensor], present: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Modality to y [N, D] and presence [N, 1] -> modality to [1 ; h] [N, 1 + H]."""
        hidden: dict[str, Tensor] = {m: self.subnetworks[m](y) * present[m] for m, y in vectors.items()}
        return {m: F.pad(h, (1, 0), value=1.0) for m, h in hidden.items()}
