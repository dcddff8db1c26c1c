"""A bottleneck that lets vectors of other modalities into the states of a transformer [code: UniMSE, adapters.py].

    sequential: z = [h ; v]    out = W (z + U sigmoid(D z))
    parallel:   z = [h ; v], x = [what the layer read ; v]    out = W (z + U sigmoid(D x))

h are the states behind a layer, v the vectors, the same at every position. W reads the whole of z and starts as any
linear layer does, so at first an adapter is no identity.
"""

import torch
from torch import Tensor, nn

DEVIATION = 1e-3
"""Of the bottleneck's first weights [code: adapter_initializer_range]."""


class FusionAdapter(nn.Module):
    """The adapter behind one layer."""

    def __init__(self, states: int, beside: int, bottleneck: int) -> None:
        """Make it.

        Args:
            states: width of the layer's states.
            beside: width of the vectors of the other modalities, all of them together.
            bottleneck: width in between.
        """
        super().__init__()
        self.down = nn.Linear(states + beside, bottleneck)
        self.up = nn.Linear(bottleneck, states + beside)
        self.output = nn.Linear(states + beside, states)
        for layer in (self.down, self.up):
            nn.init.normal_(layer.weight, std=DEVIATION)
            nn.init.zeros_(layer.bias)

    def forward(self, states: Tensor, beside: Tensor, read: Tensor | None = None) -> Tensor:
        """States [K, L, H] and vectors [K, V] -> [K, L, H]; ``read`` [K, L, H] is the layer's input, if parallel."""
        everywhere = beside.unsqueeze(1).expand(-1, states.shape[1], -1)
        whole = torch.cat([states, everywhere], dim=-1)
        entered = whole if read is None else torch.cat([read, everywhere], dim=-1)
        fused: Tensor = self.output(whole + self.up(torch.sigmoid(self.down(entered))))
        return fused
