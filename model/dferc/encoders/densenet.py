"""DenseNet-BC-100-12 over small gray faces: the 342 numbers that the field calls DenseNet or denseface features.

Huang et al., Densely Connected Convolutional Networks, CVPR 2017, arXiv 1608.06993; growth 12, depth 100, bottleneck,
compression 0.5. Sizes and the stride of the first convolution are those of the network that the makers of MMGCN, MMIN
and MEmoBERT (AIM3-RUC) train on FER+; so are the names of the tensors, so that its weights can be taken as they are.
"""

from collections import OrderedDict
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from dferc.corpus.tables import sha256
from dferc.errors import UserError

GROWTH = 12
LAYERS = (16, 16, 16)
"""Of each block: depth 100 = 2 x 48 convolutions in blocks, the first one, 2 transitions and the classifier."""
BOTTLENECK = 4 * GROWTH
WIDTH = 342
"""24 + 192 = 216, halved 108; + 192 = 300, halved 150; + 192 = 342."""
FACE = 64
"""Pixels of a face's side."""
RANDOM_SEED = 0
UNUSED = ("classifier.", "num_batches_tracked")
"""Parts of tensor names that a file may have or lack: nothing is classified or trained here."""


class DenseLayer(nn.Module):
    """Twelve new channels from all that came before."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv1 = nn.Conv2d(channels, BOTTLENECK, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(BOTTLENECK)
        self.conv2 = nn.Conv2d(BOTTLENECK, GROWTH, 3, padding=1, bias=False)

    def forward(self, known: Tensor) -> Tensor:
        """[N, channels, h, w] to [N, channels + 12, h, w]."""
        squeezed = self.conv1(self.norm1(known).relu())
        return torch.cat([known, self.conv2(self.norm2(squeezed).relu())], 1)


class Transition(nn.Module):
    """Half the channels and half the side."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)
        self.conv = nn.Conv2d(channels, channels // 2, 1, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        """[N, channels, h, w] to [N, channels / 2, h / 2, w / 2]."""
        return nn.functional.avg_pool2d(self.conv(self.norm(images).relu()), 2)


class DenseNet(nn.Module):
    """The convolutions of DenseNet-BC-100-12, pooled."""

    def __init__(self) -> None:
        super().__init__()
        channels = 2 * GROWTH
        self.features = nn.Sequential()
        self.features.add_module("conv0", nn.Conv2d(1, channels, 3, stride=2, padding=1, bias=False))
        for block, layers in enumerate(LAYERS, start=1):
            dense = {f"denselayer{i + 1}": DenseLayer(channels + i * GROWTH) for i in range(layers)}
            self.features.add_module(f"denseblock{block}", nn.Sequential(OrderedDict(dense)))
            channels += layers * GROWTH
            if block < len(LAYERS):
                self.features.add_module(f"transition{block}", Transition(channels))
                channels //= 2
        self.features.add_module(f"norm{len(LAYERS)}", nn.BatchNorm2d(channels))

    def forward(self, faces: Tensor) -> Tensor:
        """Standardised gray faces [N, 1, 64, 64] to [N, 342]."""
        pooled: Tensor = self.features(faces).relu().mean((2, 3))
        return pooled


def trained_densenet(path: Path) -> tuple[DenseNet, str]:
    """The network with the weights of a safetensors file, and the SHA-256 of that file.

    Raises:
        UserError: there is no such file, or it does not hold exactly the tensors of this network.
    """
    network = DenseNet().eval()
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys() if not _unused(name)}  # noqa: SIM118
        digest = sha256(path)
    except (OSError, SafetensorError) as error:
        raise UserError(
            f"the weights of the DenseNet cannot be read from {path} ({error}): give a safetensors file, "
            f"or `random` for an untrained network"
        ) from None
    expected = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items() if not _unused(name)}
    problems = _differences(expected, {name: tuple(tensor.shape) for name, tensor in tensors.items()})
    if problems:
        raise UserError.collected(f"{path} does not hold a DenseNet-BC-100-12 for gray faces", problems)
    network.load_state_dict(tensors, strict=False)
    return network, digest


def random_densenet() -> DenseNet:
    """The network with random weights, the same at every call: no expression was ever shown to it."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(RANDOM_SEED)
        network = DenseNet().eval()
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)
    return network


def _unused(name: str) -> bool:
    return any(part in name for part in UNUSED)


def _differences(expected: dict[str, tuple[int, ...]], found: dict[str, tuple[int, ...]]) -> list[str]:
    problems = []
    for what, names in (("missing", expected.keys() - found.keys()), ("unknown", found.keys() - expected.keys())):
        if names:
            problems.append(f"{len(names)} tensors are {what}, the first is {min(names)}")
    wrong = sorted(name for name in expected.keys() & found.keys() if expected[name] != found[name])
    if wrong:
        shapes = f"{found[wrong[0]]} instead of {expected[wrong[0]]}"
        problems.append(f"{len(wrong)} tensors have a wrong shape, the first is {wrong[0]} with {shapes}")
    return problems
