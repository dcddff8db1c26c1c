"""DF-ERC against numbers of its released code: every stage, every loss, every gradient within 1e-5.

Other files of the same form are tried too when DFERC_GOLDEN names their folder.
"""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from dferc.corpus.batch import DialogueBatch
from dferc.corpus.lanes import Lanes
from dferc.layers.reduction import ALONE
from dferc.models import Task, objective
from dferc.models.df_erc import DFERC, DFERCConfig

MODALITIES = ("text", "audio", "visual")
FOLDERS = [Path(__file__).parents[2] / "golden", *map(Path, filter(None, [os.environ.get("DFERC_GOLDEN")]))]
FILES = sorted(file for folder in FOLDERS for file in folder.glob("df-erc*.safetensors"))
STACKED = {
    "modality_projection": "disentangle.modality.linear",
    "utterance_projection": "disentangle.utterance.linear",
    "unimodal_classifier": "contribution.teacher.linear",
    "confidence": "contribution.student.linear",
    "align": "context.align.linear",
}


class Golden:
    """One file: its model with its weights, its batch, its expected numbers."""

    def __init__(self, file):
        with safe_open(file, "pt") as opened:
            self.tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
            self.options = opened.metadata()
        number = {name: float(self.options[name]) for name in self.options if is_number(self.options[name])}
        config = DFERCConfig(
            standardise=False,
            hidden=int(number["hidden"]),
            align=int(number["align"]),
            modality_groups="release",
            modality_temperature=number["temperature"],
            utterance_temperature=number["temperature"],
            disentangle_scale=number["contrastive_weight"],
            modality_contrast_weight=number["contrastive_weight"],
            utterance_contrast_weight=number["contrastive_weight"],
            fusion_scale=number["fusion_weight"],
            detach_tcp=self.options["tcp_detached"] == "true",
            confidence_weight=number["confidence_loss_weight"],
            context_weight=number["context_weight"],
            beta=number["margin"],
            prototype_weight=number["prototype_loss_weight"],
            other_class_weight=number["class_weight_rest"],
        )
        widths = {m: self.tensors[f"input.{m}"].shape[1] for m in MODALITIES}
        classes = tuple(f"class {i}" for i in range(int(number["num_classes"])))
        self.model = DFERC(config, Task(widths, classes, (1,) * len(classes))).eval()
        state = self.model.state_dict() | self.of("param")
        self.model.load_state_dict(state)
        self.batch = self.make_batch()
        self.output = self.model(self.batch)
        self.total, self.losses = objective(self.model, self.output)
        self.total.backward()

    def of(self, kind):
        """Tensors of one kind under the names that our parameters have."""
        ours = {}
        for name, tensor in self.tensors.items():
            if name.startswith(f"{kind}.context_lstm."):
                layer, weight = name.removeprefix(f"{kind}.context_lstm.layer").split(".")
                end = "_reverse" if weight.endswith("_reverse") else ""
                ours[f"context.lstm.layers.{layer}.{weight.removesuffix('_reverse')}_l0{end}"] = tensor
        for theirs, mine in STACKED.items():
            for leaf in ("weight", "bias"):
                ours[f"{mine}.{leaf}"] = torch.stack([self.tensors[f"{kind}.{m}_{theirs}.{leaf}"] for m in MODALITIES])
        for leaf in ("weight", "bias"):
            ours |= {f"encoders.{m}.linear.{leaf}": self.tensors[f"{kind}.{m}_encoder.{leaf}"] for m in MODALITIES}
            ours[f"classifier.{leaf}"] = self.tensors[f"{kind}.classifier.{leaf}"]
        if kind == "param":
            ours["class_weight"] = self.tensors["param.class_weight"]
        return ours

    def make_batch(self):
        lengths = self.tensors["input.dialogue_lengths"]
        mask = torch.arange(int(lengths.max())) < lengths.unsqueeze(1)
        bare = DialogueBatch(
            features={},
            present=dict.fromkeys(MODALITIES, mask),
            mask=mask,
            valid=mask.flatten().nonzero().flatten(),
            lengths=lengths,
            labels=mask.long(),
            speakers=mask.long(),
            rows=mask.long(),
            lanes=Lanes.of(lengths.tolist()),
        )
        features = {m: bare.padded(self.tensors[f"input.{m}"]) for m in MODALITIES}
        return replace(bare, features=features, labels=bare.padded(self.tensors["input.labels"]))

    def expected(self, name):
        return self.tensors[f"output.{name}"]


def is_number(text):
    try:
        float(text)
    except ValueError:
        return False
    return True


def close(ours, theirs):
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5 * max(1.0, float(theirs.abs().max())))


@pytest.fixture(scope="module", params=FILES, ids=lambda file: file.stem)
def golden(request):
    return Golden(request.param)


@torch.no_grad()
def test_every_stage(golden):
    model, batch = golden.model, golden.batch
    encoded, present = model._encode(batch)
    features, _, _ = model.disentangle(encoded, present, ALONE)
    hidden = encoded.shape[-1]
    for i, modality in enumerate(MODALITIES):
        close(encoded[i], golden.expected(f"encoded.{modality}"))
        close(features[i, :, hidden:] / model.config.disentangle_scale, golden.expected(f"disentangled.{modality}"))
    seen = golden.output.diagnostics
    close(batch.flat(seen["fusion_weights"]), golden.expected("fusion_weights"))
    close(batch.flat(seen["consistency"]), golden.expected("consistency"))
    close(batch.flat(golden.output.logits), golden.expected("logits"))


def test_the_representations_before_the_classifier(golden):
    caught = {}
    hooks = [
        golden.model.context.register_forward_pre_hook(lambda _, inputs: caught.update(fused=inputs[0])),
        golden.model.classifier.register_forward_pre_hook(lambda _, inputs: caught.update(refused=inputs[0])),
    ]
    golden.model(golden.batch)
    for hook in hooks:
        hook.remove()
    close(caught["fused"], golden.expected("fused"))
    close(caught["refused"], golden.expected("refused"))


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("modality_contrast", "modality_contrastive"),
        ("utterance_contrast", "utterance_contrastive"),
        ("confidence", "confidence"),
        ("prototype", "prototype_margin"),
        ("classification", "classification"),
    ],
)
def test_every_loss(golden, ours, theirs):
    close(golden.losses[ours], golden.expected(f"loss.{theirs}").squeeze())


def test_the_total(golden):
    close(golden.total.detach(), golden.expected("loss.total").squeeze())


def test_every_gradient(golden):
    expected = golden.of("grad")
    ours = {name: parameter.grad for name, parameter in golden.model.named_parameters()}
    assert set(ours) == set(expected)
    for name, gradient in ours.items():
        close(gradient, expected[name])


def test_the_file_is_there():
    assert FILES, json.dumps([str(folder) for folder in FOLDERS])
