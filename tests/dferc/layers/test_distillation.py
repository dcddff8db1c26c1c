"""Self-distillation against numbers of SDT's release."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from dferc.layers.distillation import distillation

REFERENCE = load_file(Path(__file__).parents[2] / "golden" / "losses.safetensors")


def padded(lengths):
    """[B, T] 1 at the utterances of dialogues of these lengths."""
    return (torch.arange(int(lengths.max())) < lengths.unsqueeze(1)).float()


@pytest.mark.parametrize("temperature", [1.0, 8.0])
def test_is_that_of_the_release(temperature):
    """Values, and gradients of the student and the teacher; padding counts for nothing."""
    name = f"masked_kl.temperature{temperature}"
    student = REFERENCE["input.padded_logits"].clone().requires_grad_()
    teacher = REFERENCE["input.padded_logits_teacher"].clone().requires_grad_()
    there = padded(REFERENCE["input.dialogue_lengths"]).view(1, -1)
    value = distillation(student.flatten(0, 1).unsqueeze(0), teacher.flatten(0, 1), there, temperature).share()
    value.backward()
    pairs = {f"output.{name}": value, f"grad.{name}.0": student.grad, f"grad.{name}.1": teacher.grad}
    for theirs, ours in pairs.items():
        expected = REFERENCE[theirs].reshape(ours.shape)
        torch.testing.assert_close(ours, expected, rtol=0, atol=1e-5 * max(1.0, float(expected.abs().max())))


def test_each_student_has_a_mean_of_its_own():
    students, teacher = torch.randn(2, 5, 4), torch.randn(5, 4)
    present = torch.tensor([[1.0, 1, 1, 1, 1], [0, 1, 0, 0, 1]])
    alone = [distillation(students[:1], teacher, present[:1], 2.0), distillation(
        students[1:, [1, 4]], teacher[[1, 4]], torch.ones(1, 2), 2.0
    )]  # fmt: skip
    both = distillation(students, teacher, present, 2.0).share()
    torch.testing.assert_close(both, sum(term.share() for term in alone))


def test_certain_teachers_give_finite_gradients():
    teacher = torch.tensor([[400.0, -400.0, 0.0]], requires_grad=True)
    students = torch.tensor([[[-400.0, 400.0, 0.0]]], requires_grad=True)
    distillation(students, teacher, torch.ones(1, 1), 1.0).share().backward()
    assert teacher.grad.isfinite().all()
    assert students.grad.isfinite().all()
