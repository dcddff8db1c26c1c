"""XLNet over the turns of dialogues: what each turn sees, and all layers (dferc/layers/dialogue_aware_attention.py)."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from dferc.encoders.dialog_xl_packing import Turns
from dferc.layers.dialogue_aware_attention import Block, DialogueAwareLayer, sinusoids
from dferc.layers.eager import eager


class DialogueXLNet(nn.Module):
    """XLNet's embeddings and layers, with heads that know who speaks and when."""

    kind_of_head: Tensor

    def __init__(self, pretrained: Any, kinds: Sequence[int], window: int, recompute: bool) -> None:
        """Take over an ``XLNetModel``.

        Args:
            pretrained: the model; what belongs to segments and to its other stream is left behind.
            kinds: local, global, speaker and listener heads, or any numbers in the same proportions.
            window: turns that local heads see.
            recompute: compute each layer again in the backward pass.
        """
        super().__init__()
        self.embedding = pretrained.word_embedding
        self.layers = nn.ModuleList(DialogueAwareLayer(layer) for layer in pretrained.layer)
        self.dropout = nn.Dropout(pretrained.dropout.p)
        self.clamp = pretrained.config.clamp_len
        self.window = window
        self.recompute = recompute
        counts = torch.tensor(shared_out(pretrained.config.n_head, kinds))
        kind_of_head = torch.arange(len(kinds)).repeat_interleave(counts)
        self.register_buffer("kind_of_head", kind_of_head, persistent=False)

    @eager  # a compiler would begin again for every size of a block
    def forward(self, tokens: Turns, number: Tensor, party: Tensor) -> Tensor:
        """States [N, D] at the first sub-token of each turn, given its number in its dialogue and who speaks [N]."""
        states: Tensor = self.dropout(self.embedding(tokens.ids))
        blocks = self._blocks(tokens, number, party)
        for layer in self.layers:
            given = (states, tokens.remembered, tokens.place, blocks)
            again = self.recompute and torch.is_grad_enabled()
            states = checkpoint(layer, *given, use_reentrant=False) if again else layer(*given)
        first: Tensor = self.dropout(states.index_select(0, tokens.start))
        return first

    def _blocks(self, tokens: Turns, number: Tensor, party: Tensor) -> list[Block]:
        members = torch.split(tokens.order, [turns for turns, _, _ in tokens.blocks])
        return [
            self._block(tokens, number, party, turns, length, memory)
            for turns, (_, length, memory) in zip(members, tokens.blocks, strict=True)
        ]

    def _block(self, tokens: Turns, number: Tensor, party: Tensor, turns: Tensor, length: int, memory: int) -> Block:
        """What the turns [n] of one block see; their sub-tokens and memories are as long as given, or shorter."""
        within = torch.arange(length, device=turns.device)
        own = within < tokens.length[turns].unsqueeze(1)
        slots = tokens.memory_stop[turns].unsqueeze(1) + torch.arange(-memory, 0, device=turns.device)
        held = slots >= tokens.memory_start[turns].unsqueeze(1)
        slots = slots.clamp_min(0)
        said_in = tokens.said_in[slots]
        near = number[turns].unsqueeze(1) - number[said_in] <= self.window
        same = party[turns].unsqueeze(1) == party[said_in]
        kinds = torch.stack([held & near, held, held & same, held & ~same], 1)  # local, global, speaker, listener
        by_head = kinds.index_select(1, self.kind_of_head)
        width = self.embedding.embedding_dim
        return Block(
            own=torch.where(own, tokens.start[turns].unsqueeze(1) + within, 0),
            memory=slots,
            seen=torch.cat([by_head, own.unsqueeze(1).expand(-1, by_head.shape[1], -1)], 2).unsqueeze(2),
            positions=self.dropout(sinusoids(length, memory, width, self.clamp, turns.device)),
        )


def shared_out(heads: int, shares: Sequence[int]) -> list[int]:
    """Heads in these proportions, those left over where most is lacking, the first such before the next."""
    whole = [heads * share // sum(shares) for share in shares]
    lacking = sorted(range(len(shares)), key=lambda kind: whole[kind] - heads * shares[kind] / sum(shares))
    return [count + (kind in lacking[: heads - sum(whole)]) for kind, count in enumerate(whole)]
