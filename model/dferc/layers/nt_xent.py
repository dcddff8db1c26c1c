"""NT-Xent with labels: every other utterance of the class is a positive, every one of another class a negative.

    L_ip = -ln( exp(z_i.z_p / tau) / (exp(z_i.z_p / tau) + sum_{n: y_n != y_i} exp(z_i.z_n / tau)) )

z is brought to length one; the loss is the mean over all ordered pairs of one class (Sohn, 2016; Chen et al., 2020)
[code: NTXentLoss of pytorch-metric-learning 1.6.3, which SACL-LSTM takes]. Supervised contrast, in contrastive.py, has
the other positives below the line too, and is a mean over utterances.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from dferc.corpus.batch import NO_LABEL
from dferc.layers.contrastive import MASKED
from dferc.layers.reduction import LossTerm, Reduction
from dferc.layers.utterances import Utterances


def nt_xent(vectors: Tensor, known: Utterances, temperature: float | Tensor, across: Reduction) -> LossTerm:
    """Of vectors [N, H] of any length: mean over the pairs of one class, among all workers' labelled utterances."""
    unit = F.normalize(vectors.float(), dim=-1)
    everyone, offset = across.gather(unit)
    labels, _ = across.gather(torch.where(known.labelled > 0, known.labels, NO_LABEL))
    with torch.autocast(unit.device.type, enabled=False):
        scores = unit @ everyone.T / temperature

    alike = known.labels.unsqueeze(1) == labels
    place = torch.arange(len(labels), device=labels.device)
    itself = (place[: len(unit)] + offset).unsqueeze(1) == place
    positive = (alike & ~itself) * known.labelled.unsqueeze(1)
    negative = ~alike & (labels != NO_LABEL)

    negatives = torch.logsumexp(scores.masked_fill(~negative, MASKED), dim=1, keepdim=True)
    return LossTerm((F.softplus(negatives - scores) * positive).sum(), positive.sum())
