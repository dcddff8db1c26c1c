"""Layers that hold separate weights for each modality and apply them all in one batched product."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class StackedLinear(nn.Module):
    """M affine maps side by side: [M, N, D_in] -> [M, N, D_out]."""

    def __init__(self, modalities: int, width_in: int, width_out: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(modalities, width_out, width_in))
        self.bias = nn.Parameter(torch.empty(modalities, width_out))
        for weight, bias in zip(self.weight, self.bias, strict=True):
            initialise(weight, bias)

    def forward(self, inputs: Tensor) -> Tensor:
        """Map each modality [M, N, D_in] with its own weights."""
        return torch.baddbmm(self.bias.unsqueeze(1), inputs, self.weight.transpose(1, 2))


class StackedMLP(nn.Module):
    """Dropout, linear map, activation, for each modality: the "MLP" of the release [code: layer.py MLP, MlpSigmoid]."""

    def __init__(self, modalities: int, width_in: int, width_out: int, dropout: float, sigmoid: bool = False) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.linear = StackedLinear(modalities, width_in, width_out)
        self.activation = torch.sigmoid if sigmoid else F.gelu

    def forward(self, inputs: Tensor) -> Tensor:
        """[M, N, D_in] -> [M, N, D_out]."""
        return self.activation(self.linear(self.dropout(inputs)))


@torch.no_grad()
def initialise(weight: Tensor, bias: Tensor) -> None:
    """Kaiming-uniform weights [out, in], fan-in, leaky-relu gain [code: init_esim_weights]; torch's own bias."""
    nn.init.kaiming_uniform_(weight, mode="fan_in", nonlinearity="leaky_relu")
    bound = weight.shape[1] ** -0.5
    nn.init.uniform_(bias, -bound, bound)
