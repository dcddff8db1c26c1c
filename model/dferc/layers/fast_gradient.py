"""The fast gradient method on weights (Miyato et al., 2017) [code: SACL-LSTM, at_training.py FGM]: w + eps g / |g|."""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from dferc.layers.reduction import Reduction


def attacked(weights: Mapping[str, Tensor], loss: Tensor, epsilon: float, across: Reduction) -> dict[str, Tensor]:
    """The weights where the loss is worse, each moved by epsilon along its own gradient; none flows through them.

    ``loss`` [] is this worker's share, and its graph is kept. Where the gradient is zero a weight stays.
    """
    gradients = torch.autograd.grad(loss, list(weights.values()), retain_graph=True, materialize_grads=True)
    together = across.sum(torch.cat([gradient.flatten() for gradient in gradients]))
    parts = together.split([gradient.numel() for gradient in gradients])  # type: ignore[no-untyped-call]
    return {
        name: weight.detach() + epsilon * F.normalize(part, dim=0).view_as(weight)
        for (name, weight), part in zip(weights.items(), parts, strict=True)
    }
