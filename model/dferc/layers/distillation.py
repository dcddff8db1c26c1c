"""Self-distillation: what a model says of all modalities together teaches what it says of each alone.

    KL(q || p_m) = sum_c q_c (log q_c - log p_mc)    q = softmax(teacher / T)    p_m = softmax(student_m / T)

As SDT has it [code: model.py, MaskedKLDivLoss, and train.py]: gradient flows into the teacher too, and nothing is
multiplied by T^2.
"""

import torch
from torch import Tensor

from dferc.layers.reduction import LossTerm


def distillation(students: Tensor, teacher: Tensor, present: Tensor, temperature: float | Tensor) -> LossTerm:
    """Mean KL of each student over the utterances that it sees, a cell a student.

    Args:
        students: [M, N, C] logits.
        teacher: [N, C] logits.
        present: [M, N] 1 where the student sees the utterance, else 0; labels are not asked for.
        temperature: T.
    """
    taught = torch.log_softmax(teacher.float() / temperature, dim=-1)
    learned = torch.log_softmax(students.float() / temperature, dim=-1)
    divergence = (taught.exp() * (taught - learned)).sum(-1)
    return LossTerm((divergence * present).sum(1), present.sum(1))
