"""What feature-level models start from: the vectors of the modalities in use, zero where an utterance lacks one."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dferc.corpus.batch import DialogueBatch


class Inputs(nn.Module):
    """Vectors of the real utterances, brought to mean 0 and deviation 1 of train where that is asked for."""

    def __init__(
        self,
        widths: Sequence[tuple[str, int]],
        statistics: "dict[str, tuple[Tensor, Tensor]]",
        standardise: bool,
    ) -> None:
        """Keep the statistics as buffers, so that they are saved with the weights.

        Args:
            widths: modality and the width of its vectors, in the order of use.
            statistics: modality to mean and deviation [D] of its train vectors.
            standardise: whether they are used.
        """
        super().__init__()
        self.widths = dict(widths)
        for name, width in self.widths.items():
            mean, deviation = statistics.get(name, (torch.zeros(width), torch.ones(width)))
            self.register_buffer(f"mean_{name}", mean.clone() if standardise else torch.zeros(width))
            self.register_buffer(f"deviation_{name}", deviation.clone() if standardise else torch.ones(width))

    def forward(self, batch: DialogueBatch) -> tuple[dict[str, Tensor], Tensor]:
        """Modality to vectors [N, D], zero where missing, and presence [M, N] as 0 and 1."""
        present = torch.stack([batch.flat(batch.present[name]) for name in self.widths])
        vectors = {}
        for name, here in zip(self.widths, present, strict=True):
            raw = batch.flat(batch.features[name])
            scaled = (raw - self.get_buffer(f"mean_{name}")) / self.get_buffer(f"deviation_{name}")
            vectors[name] = torch.where(here.unsqueeze(-1), scaled, torch.zeros_like(scaled))
        return vectors, present.to(raw.dtype)

    def joined(self, batch: DialogueBatch) -> Tensor:
        """The vectors of all modalities side by side [N, sum of D], in the order of use."""
        vectors, _ = self(batch)
        return torch.cat(list(vectors.values()), dim=-1)
