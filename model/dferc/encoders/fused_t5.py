"""A T5 whose last layers let vectors of other modalities in, and which scores class names instead of writing freely.

The class names stand side by side in one sequence of S sub-tokens, and none sees another: T5 knows only how far apart
two sub-tokens are, so each name gets the probability that it has by itself, while the states of the encoder, which all
names attend to, are projected once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from dferc.layers.fusion_adapter import FusionAdapter


class ClassNames(nn.Module):
    """The sub-tokens of all class names, end to end, each name with the end mark behind it."""

    inputs: Tensor
    """[S] what the decoder reads: the start mark and all of a name but its end mark, for each name."""
    targets: Tensor
    """[S] what it should say."""
    owner: Tensor
    """[S, C] 1 at the class of each sub-token."""
    visible: Tensor
    """[S, S] true where the second is no later than the first, in the same name."""

    def __init__(self, names: Sequence[Sequence[int]], start: int, end: int) -> None:
        super().__init__()
        of_class = torch.tensor([number for number, name in enumerate(names) for _ in range(len(name) + 1)])
        tables = {
            "inputs": torch.tensor([word for name in names for word in (start, *name)]),
            "targets": torch.tensor([word for name in names for word in (*name, end)]),
            "owner": F.one_hot(of_class, len(names)).float(),
            "visible": torch.tril(of_class.unsqueeze(1) == of_class),
        }
        for table, values in tables.items():
            self.register_buffer(table, values, persistent=False)


@dataclass(frozen=True)
class Adapters:
    """Where adapters are and what they are like."""

    layers: int
    """In how many of the last blocks of each stack; in all where there are fewer."""
    beside: int
    """Width of the vectors of the other modalities, all of them together."""
    bottleneck: int
    parallel: bool
    """Their form."""


@dataclass(frozen=True)
class Read:
    """What a stack makes of its input."""

    states: Tensor
    """[K, L, H] that come out of it."""
    given: Tensor
    """[K, L, H] that its last block was given."""


class FusedStack(nn.Module):
    """Encoder or decoder, with an adapter behind the feed-forward layer of each of its last blocks."""

    def __init__(self, stack: Any, width: int, form: Adapters, checkpointed: bool) -> None:
        super().__init__()
        self.blocks: nn.ModuleList = stack.block
        self.norm, self.dropout = stack.final_layer_norm, stack.dropout
        self.adapters = nn.ModuleList(
            FusionAdapter(width, form.beside, form.bottleneck) for _ in last(self.blocks, form.layers)
        )
        self.parallel, self.checkpointed = form.parallel, checkpointed

    def forward(
        self, words: Tensor, mask: Tensor, beside: Tensor, heard: Tensor | None = None, audible: Tensor | None = None
    ) -> Read:
        """Read word vectors [K, L, H].

        Args:
            words: the vectors.
            mask: [K or 1, L or 1, L] true where one may attend to the other.
            beside: [K, V] vectors of the other modalities.
            heard: [K, P, H] states of the encoder, for the decoder.
            audible: [K, P] true where the decoder may attend to them.
        """
        states, given = self.dropout(words), words
        biases: tuple[Tensor | None, Tensor | None] = (None, None)
        open_to = additive(mask.unsqueeze(1), words)
        open_to_heard = None if audible is None else additive(audible[:, None, None], words)
        plain = len(self.blocks) - len(self.adapters)
        for number, block in enumerate(self.blocks):
            adapter = self.adapters[number - plain] if number >= plain else None
            through = partial(self._block, block, adapter)
            if self.checkpointed and self.training:
                through = partial(checkpoint, through, use_reentrant=False)
            given = states
            states, biases = through(states, open_to, biases, beside, heard, open_to_heard)
        return Read(self.dropout(self.norm(states)), given)

    def _block(
        self,
        block: Any,
        adapter: nn.Module | None,
        states: Tensor,
        open_to: Tensor,
        biases: tuple[Tensor | None, Tensor | None],
        beside: Tensor,
        heard: Tensor | None,
        open_to_heard: Tensor | None,
    ) -> tuple[Tensor, tuple[Tensor | None, Tensor | None]]:
        """One block; the first makes the biases by distance, the others are given them."""
        own, other = biases
        states, own, _ = block.layer[0](states, attention_mask=open_to, position_bias=own)
        if heard is not None:
            states, other, _ = block.layer[1](
                states, key_value_states=heard, attention_mask=open_to_heard, position_bias=other
            )
        read, states = states, block.layer[-1](states)
        if adapter is not None:
            states = adapter(states, beside, read if self.parallel else None)
        return states, (own, other)


class FusedT5(nn.Module):
    """Encoder and decoder over one table of words."""

    def __init__(self, t5: Any, form: Adapters, checkpointed: bool) -> None:
        """Take a T5 with its output layer apart; ``checkpointed``: states are computed again in the backward pass."""
        super().__init__()
        width = int(t5.config.d_model)
        self.words: nn.Embedding = t5.shared
        self.encoder, self.decoder = (
            FusedStack(stack, width, form, checkpointed) for stack in (t5.encoder, t5.decoder)
        )
        self.head: nn.Linear | None = None if t5.lm_head.weight is t5.shared.weight else t5.lm_head
        scaled = getattr(t5.config, "scale_decoder_outputs", False)  # of which mT5, untied, knows nothing
        self.scale = width**-0.5 if scaled else 1.0

    def taken_over(self) -> list[nn.Parameter]:
        """Parameters that learn and were the T5's: all but the adapters'."""
        new = {id(p) for stack in (self.encoder, self.decoder) for p in stack.adapters.parameters()}
        return [p for p in self.parameters() if p.requires_grad and id(p) not in new]

    def tune(self, layers: int) -> None:
        """Let nothing of the T5 learn but the last blocks of both stacks."""
        for parameter in self.taken_over():
            parameter.requires_grad_(False)
        for stack in (self.encoder, self.decoder):
            for block in last(stack.blocks, layers):
                block.requires_grad_(True)

    def read(self, ids: Tensor, mask: Tensor, beside: Tensor) -> Read:
        """Sub-tokens [K, L] -> the encoder's states [K, L, H]."""
        return cast(Read, self.encoder(self.words(ids), mask.unsqueeze(1), beside))

    def score(self, names: ClassNames, heard: Tensor, audible: Tensor, beside: Tensor) -> tuple[Tensor, Read]:
        """Log-probability [K, S] of each sub-token of the class names, given those before it, and the decoder's states.

        Args:
            names: the class names.
            heard: [K, L, H] states of the encoder.
            audible: [K, L] true where the decoder may attend to them.
            beside: [K, V] vectors of the other modalities.
        """
        words = self.words(names.inputs).expand(len(heard), -1, -1)
        said: Read = self.decoder(words, names.visible.unsqueeze(0), beside, heard, audible)
        scaled = said.states * self.scale
        scores = F.linear(scaled, self.words.weight) if self.head is None else self.head(scaled)
        targets = names.targets.expand(len(heard), -1)
        return -F.cross_entropy(scores.float().transpose(1, 2), targets, reduction="none"), said


def start_of(config: Any) -> int:
    """The sub-token that the decoder of such a T5 reads first: padding, unless the configuration says another."""
    start = getattr(config, "decoder_start_token_id", None)
    return int(config.pad_token_id if start is None else start)


def last(blocks: nn.ModuleList, count: int) -> list[nn.Module]:
    """The last blocks of a stack, all where there are fewer."""
    return list(blocks)[max(0, len(blocks) - count) :]


def additive(mask: Tensor, like: Tensor) -> Tensor:
    """What is added to the scores of attention: 0 where the mask is true, elsewhere the least number there is."""
    return torch.zeros_like(mask, dtype=like.dtype).masked_fill(~mask, torch.finfo(like.dtype).min)
