"""Focal losses: cross-entropies that weigh an utterance by how wrong the model is about it.

    focal:        -w_y (1 - p_y)^gamma log p_y, over the number of utterances
    focal_spread: -sum_c (1 - y_c log p_c)^gamma log p_c, over the number of utterances and classes

The first is that of Lin et al. (2017) with a modulator that passes no gradient [code: MM-DFN, DialogueCRN, SACL-LSTM:
loss.py]; the sum is not divided by the weights. The second is the formula of MMGCN and M3Net [code: model.py,
FocalLoss]: the modulator takes the logarithm of p instead of p, so it grows without bound, and every wrong class is
pushed up by its own -log p_c. It has no class weights.
"""

import torch
from torch import Tensor

from dferc.layers.reduction import LossTerm
from dferc.layers.utterances import Utterances


def focal(logits: Tensor, known: Utterances, gamma: float) -> LossTerm:
    """Of [N, C] against the labels: mean over labelled utterances of w_y (1 - p_y)^gamma CE."""
    true = _of_label(torch.log_softmax(logits.float(), dim=-1), known)
    modulator = (1 - true.detach().exp()).clamp_min(0) ** gamma
    weights = known.class_weight[known.labels] * known.labelled
    return LossTerm(-(weights * modulator * true).sum(), known.labelled.sum())


def focal_spread(logits: Tensor, known: Utterances, gamma: float) -> LossTerm:
    """Of [N, C] against the labels: mean over labelled utterances and all classes, as MMGCN and M3Net have it."""
    log_probabilities = torch.log_softmax(logits.float(), dim=-1)
    true = _of_label(log_probabilities, known)
    costs = -log_probabilities.sum(-1) - ((1 - true) ** gamma - 1) * true
    return LossTerm((costs * known.labelled).sum(), known.labelled.sum() * logits.shape[-1])


def _of_label(log_probabilities: Tensor, known: Utterances) -> Tensor:
    """[N, C] -> [N]: that of the label."""
    return log_probabilities.gather(-1, known.labels.unsqueeze(-1)).squeeze(-1)
