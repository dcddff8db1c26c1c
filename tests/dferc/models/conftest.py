"""Reference vectors of published code: a test module that names its files in ``GOLDEN`` is run on each of them.

Files are looked for in tests/golden, and in the folder that DFERC_GOLDEN names.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from torch import Tensor

from dferc.corpus.batch import DialogueBatch
from dferc.corpus.lanes import Lanes
from dferc.models import Model, Task

FOLDERS = [Path(__file__).parents[2] / "golden", *map(Path, filter(None, [os.environ.get("DFERC_GOLDEN")]))]


class Golden:
    """One file: weights, inputs, and the outputs and gradients that the published code gave for them."""

    def __init__(self, file: Path) -> None:
        with safe_open(file, "pt") as opened:
            self.tensors: dict[str, Tensor] = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
            self.options: dict[str, str] = opened.metadata()

    def number(self, name: str) -> int:
        """A size among the options."""
        return int(self.options[name])

    def group(self, prefix: str) -> dict[str, Tensor]:
        """The tensors whose names begin so, under what follows."""
        return {k.removeprefix(prefix): v for k, v in self.tensors.items() if k.startswith(prefix)}

    def stack(self, parts: Sequence[str], name: str) -> None:
        """Where weights or gradients of several parts are one tensor with us: ``param.PART.x`` -> ``param.NAME.x``."""
        for key in [k for k in self.tensors if f".{parts[0]}." in k]:
            together = [self.tensors.pop(key.replace(f".{parts[0]}.", f".{part}.")) for part in parts]
            self.tensors[key.replace(f".{parts[0]}.", f".{name}.")] = torch.stack(together)

    def task(self, widths: Mapping[str, int]) -> Task:
        """A task with as many classes as the file has."""
        classes = self.number("num_classes")
        return Task(dict(widths), tuple(f"class {i}" for i in range(classes)), (1,) * classes)

    def batch(self, features: Mapping[str, Tensor]) -> DialogueBatch:
        """All dialogues of the file; ``features`` maps a modality to the vectors [N, D] of its utterances."""
        lengths = self.tensors["input.dialogue_lengths"]
        mask = torch.arange(int(lengths.max())) < lengths.unsqueeze(1)
        places = mask.flatten().nonzero().flatten()

        def padded(flat: Tensor, fill: float = 0) -> Tensor:
            wide = flat.new_full((mask.numel(), *flat.shape[1:]), fill)
            wide[places] = flat
            return wide.reshape(*mask.shape, *flat.shape[1:])

        return DialogueBatch(
            features={m: padded(vectors) for m, vectors in features.items()},
            present=dict.fromkeys(features, mask),
            mask=mask,
            valid=places,
            lengths=lengths,
            labels=padded(self.tensors["input.labels"].long(), -1),
            speakers=padded(self.tensors["input.speakers"].long()),
            rows=padded(torch.arange(len(places)), -1),
            lanes=Lanes.of(lengths.tolist()),
        )

    def close(self, ours: Tensor, name: str) -> None:
        """Assert that ours is the file's tensor to 1e-5 of its largest entry."""
        theirs = self.tensors[name]
        assert ours.shape == theirs.shape or ours.numel() == theirs.numel() == 1, name
        tolerance = 1e-5 * max(1.0, float(theirs.abs().max()))
        torch.testing.assert_close(ours.detach().reshape(theirs.shape), theirs, rtol=0, atol=tolerance, msg=name)

    def load(self, model: Model, names: Mapping[str, str]) -> None:
        """Give the model the file's weights; ``names`` maps theirs to ours, and must name every parameter."""
        state = model.state_dict()
        new = {ours: self.tensors[f"param.{theirs}"].reshape(state[ours].shape) for theirs, ours in names.items()}
        assert set(new) >= {name for name, _ in model.named_parameters()}, "a parameter has no golden"
        model.load_state_dict(state | new)

    def same_gradients(self, model: Model, names: Mapping[str, str], prefix: str = "grad.") -> None:
        """Assert that every parameter's gradient is the file's."""
        gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
        expected: Iterable[tuple[str, str]] = ((t, o) for t, o in names.items() if prefix + t in self.tensors)
        for theirs, ours in expected:
            gradient = gradients[ours]
            assert gradient is not None, ours
            self.close(gradient.reshape(self.tensors[prefix + theirs].shape), prefix + theirs)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One run of a test a golden file."""
    patterns = getattr(metafunc.module, "GOLDEN", ())
    if patterns and "golden" in metafunc.fixturenames:
        files = sorted({file for folder in FOLDERS for pattern in patterns for file in folder.glob(pattern)})
        metafunc.parametrize("golden", files, indirect=True, ids=lambda file: f"{file.parent.name}/{file.stem}")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    """The golden file of this run."""
    return Golden(request.param)
