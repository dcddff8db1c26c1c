"""A latent topic of each utterance, as a variational autoencoder of its words.

    g_n = tanh(W m_n + b)    t_n = MHA(g_n, g_1..n)    q(z_n) = N(mu, diag s^2),  [mu ; ln s^2] = V [g_n ; t_n] + d
    z_n = mu + s e,  e ~ N(0, I) in training, mu otherwise          p(w | z_n) = softmax_w(E (D z_n + f))
    reconstruction = -sum over the words w of n of ln p(w | z_n)    divergence = KL(q(z_n) || N(0, I))

m_n is what the language model knows of the utterance halfway up, E its embedding of words. The two losses are means
over words, so that their sum is the negative evidence bound of a word.
"""

import torch
from torch import Tensor, nn

from dferc.corpus.batch import DialogueBatch
from dferc.layers.reduction import LossTerm


class Topics(nn.Module):
    """Infers topics, and says what they cost."""

    def __init__(self, width: int, hidden: int, topic_width: int, heads: int, embedding_width: int) -> None:
        """Make the maps.

        Args:
            width: of m.
            hidden: of g; a multiple of ``heads``.
            topic_width: of z.
            heads: of the attention to earlier utterances.
            embedding_width: of a row of E.
        """
        super().__init__()
        self.inner = nn.Linear(width, hidden)
        self.history = nn.MultiheadAttention(hidden, heads, batch_first=True)
        self.posterior = nn.Linear(2 * hidden, 2 * topic_width)
        self.decoder = nn.Linear(topic_width, embedding_width)

    def forward(self, halfway: Tensor, batch: DialogueBatch) -> tuple[Tensor, Tensor]:
        """States m [N, D] -> topics z [N, K] and the divergence of each [N]."""
        inner = torch.tanh(self.inner(halfway))
        dialogues = batch.padded(inner)
        heard, _ = self.history(*[dialogues] * 3, attn_mask=later(dialogues), need_weights=False)
        posterior = self.posterior(torch.cat([inner, batch.flat(heard)], -1))
        mean, log_variance = posterior.float().chunk(2, -1)
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(-1)
        topics, log_variance = posterior.chunk(2, -1)
        if self.training:
            topics = topics + (0.5 * log_variance).exp() * torch.randn_like(topics)
        return topics, divergence

    def losses(
        self, topics: Tensor, divergence: Tensor, words: Tensor, said: Tensor, embedding: Tensor
    ) -> dict[str, LossTerm]:
        """Of topics [N, K]: ``words`` [N, L] are numbers of words, real where ``said`` [N, L]; E is [V, D]."""
        scores = torch.log_softmax((self.decoder(topics) @ embedding.T).float(), -1)
        counted = said.sum().float()
        return {
            "reconstruction": LossTerm(-(scores.gather(1, words) * said).sum(), counted),
            "divergence": LossTerm(divergence.sum(), counted),
        }


def later(dialogues: Tensor) -> Tensor:
    """[T, T] for [B, T, H]: true where the second utterance comes after the first, which must not hear it."""
    turns = dialogues.shape[1]
    return torch.ones(turns, turns, dtype=torch.bool, device=dialogues.device).triu(1)
