"""BART in three parts, so that what it has read once can be answered more than once."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Bart(nn.Module):
    """Encoder and decoder over one table of words, which also scores the words to come.

    The table is a parameter of this module alone: the library shares it by a copy in each part, and what is shared
    cannot be saved as safetensors.
    """

    def __init__(self, transformer: Any) -> None:
        """Take a BART of the transformers library apart."""
        super().__init__()
        self.shared = transformer.shared
        self.encoder = transformer.encoder
        self.decoder = transformer.decoder
        self.encoder.embed_tokens = None
        self.decoder.embed_tokens = None
        config = transformer.config
        config.use_cache = False  # nothing is decoded step by step
        start = config.decoder_start_token_id
        self.start = int(config.eos_token_id if start is None else start)

    def read(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Sub-tokens [N, L] and which are real [N, L] -> the encoder's states [N, L, H]."""
        states: Tensor = self.encoder(inputs_embeds=self.shared(ids), attention_mask=mask.long()).last_hidden_state
        return states

    def say(self, ids: Tensor, read: Tensor, mask: Tensor) -> Tensor:
        """Sub-tokens [N, A], what was read [N, L, H] and which of it is real [N, L] -> the decoder's states [N, A, H].

        A state has seen the sub-tokens before its own, so padding at the end changes none that is real.
        """
        before = F.pad(ids[:, :-1], (1, 0), value=self.start)
        states: Tensor = self.decoder(
            inputs_embeds=self.shared(before),
            encoder_hidden_states=read,
            encoder_attention_mask=mask.long(),
        ).last_hidden_state
        return states

    def next_words(self, states: Tensor) -> Tensor:
        """States [R, H] -> logits [R, words] of the sub-token that each is to say."""
        return F.linear(states, self.shared.weight)


def highest(states: Tensor, mask: Tensor) -> Tensor:
    """States [N, L, H] and which are real [N, L] -> [N, H]: the maximum of each feature over real ones."""
    lowest = torch.finfo(states.dtype).min
    return states.masked_fill(~mask.unsqueeze(-1), lowest).max(dim=1).values
