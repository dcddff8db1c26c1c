"""DenseNet-BC-100-12: its published size, its 342 numbers, and that only its own weights are taken."""

import hashlib

import pytest
import torch
from safetensors.torch import save_file

from dferc.encoders.densenet import DenseNet, random_densenet, trained_densenet
from dferc.errors import UserError

FACES = torch.randn(3, 1, 64, 64, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def weights(tmp_path):
    """A file of weights as a trained classifier would leave it."""
    tensors = random_densenet().state_dict()
    tensors |= {"classifier.weight": torch.randn(8, 342), "classifier.bias": torch.randn(8)}
    save_file(tensors, tmp_path / "ferplus.safetensors")
    return tmp_path / "ferplus.safetensors"


def test_size_is_the_published_one():
    network = DenseNet()
    parameters = sum(parameter.numel() for parameter in network.parameters())
    cifar, colour, classifier = 769_162, 2 * 24 * 9, 342 * 10 + 10  # CIFAR-10: colours in, ten classes out
    assert parameters == cifar - colour - classifier
    assert sum(isinstance(module, torch.nn.Conv2d) for module in network.modules()) + 1 == 100


@torch.inference_mode()
def test_a_face_has_342_numbers_whatever_stands_beside_it():
    network = random_densenet()
    together = network(FACES)
    assert together.shape == (3, 342)
    assert together.isfinite().all()
    assert torch.allclose(network(FACES[1:2])[0], together[1], atol=1e-5)
    assert (together[0] - together[1]).abs().max() > 1e-2


@torch.inference_mode()
def test_random_weights_are_always_the_same_and_disturb_nothing():
    state = torch.random.get_rng_state()
    first, second = random_densenet(), random_densenet()
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(first(FACES), second(FACES))


@torch.inference_mode()
def test_trained_weights_come_from_a_file(weights):
    network, digest = trained_densenet(weights)
    assert digest == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert not network.training
    assert torch.equal(network(FACES), random_densenet()(FACES))


@torch.inference_mode()
def test_every_tensor_of_the_file_matters(weights):
    tensors = {name: tensor + 0.01 for name, tensor in random_densenet().state_dict().items() if tensor.ndim}
    save_file(tensors, weights)
    network, _ = trained_densenet(weights)
    loaded = network.state_dict()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in tensors.items())


def refusal(path):
    with pytest.raises(UserError) as caught:
        trained_densenet(path)
    return str(caught.value)


def test_weights_of_another_network_are_refused(weights):
    tensors = random_densenet().state_dict()
    tensors["features.conv0.weight"] = torch.zeros(64, 3, 7, 7)
    tensors["head.weight"] = torch.zeros(1)
    del tensors["features.norm3.bias"]
    save_file(tensors, weights)
    message = refusal(weights)
    assert "does not hold a DenseNet-BC-100-12 for gray faces" in message
    assert "1 tensors are missing, the first is features.norm3.bias" in message
    assert "1 tensors are unknown, the first is head.weight" in message
    assert "the first is features.conv0.weight with (64, 3, 7, 7) instead of (24, 1, 3, 3)" in message


def test_files_that_hold_no_weights_are_refused(tmp_path):
    (tmp_path / "text.safetensors").write_text("no weights")
    for path in (tmp_path / "text.safetensors", tmp_path / "absent.safetensors", tmp_path):
        assert "give a safetensors file, or `random` for an untrained network" in refusal(path)
