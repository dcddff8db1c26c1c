"""ICON: one memory of both sides of a conversation, which is rewritten between the hops in which the query reads it.

    hop 1:  m = GRU_global(tanh(h_own + h_other))    hop r > 1:  m <- GRU_memory(m)
    each:   a = softmax over filled slots of tanh(q . m)    q <- tanh(q + sum a m)

h are the states of the local GRUs (dyadic_memory.py), of which one is zero at each slot. Of the release [code],
declare-lab/conv-emotion ICON/IEMOCAP: the GRUs of the memory run over all K slots, empty ones included, with an input
of zeros, and their states there are set to zero afterwards. The paper's scores are not squashed (``squash``). Its
extractors are not here, nor the context that the release gives its text and audio vectors by another network first.
"""

from typing import ClassVar, cast

import torch
from torch import Tensor, nn

from dferc.layers.history import History
from dferc.layers.parallel_gru import ParallelGRU
from dferc.models.base import ModelConfig, Task
from dferc.models.dyadic_memory import DyadicMemoryConfig, DyadicMemoryModel


class ICONConfig(DyadicMemoryConfig):
    """Settings of ICON."""


class ICON(DyadicMemoryModel):
    """The model of Hazarika, Poria, Mihalcea et al. (2018), in the form of its TensorFlow release."""

    name: ClassVar[str] = "icon"
    causal: ClassVar[bool] = True
    citation: ClassVar[str] = (
        "D. Hazarika, S. Poria, R. Mihalcea, E. Cambria, R. Zimmermann. ICON: Interactive Conversational Memory "
        "Network for Multimodal Emotion Detection. EMNLP 2018"
    )
    config_type: ClassVar[type[ModelConfig]] = ICONConfig

    def __init__(self, config: ModelConfig, task: Task) -> None:
        super().__init__(config, task)
        hidden = self.settings.hidden
        first_and_later = min(self.settings.hops, 2)
        self.memories = nn.ModuleList(ParallelGRU(("both",), hidden, hidden) for _ in range(first_and_later))

    def after_hops(self, query: Tensor, sides: Tensor, history: History) -> Tensor:
        """The query [N, H] when it has read a memory of both sides [2, N, S, H]."""
        memory = torch.tanh(sides.sum(0))
        for hop in range(self.settings.hops):
            memory = self._rewritten(memory, hop, history)
            query = torch.tanh(query + self.attend(query, memory, memory, history))
        return query

    def _rewritten(self, memory: Tensor, hop: int, history: History) -> Tensor:
        """The memory [N, S, H] of a hop, from what the one before it read."""
        gru = cast(ParallelGRU, self.memories[min(hop, 1)])
        states: Tensor = gru(gru.project(memory.unsqueeze(0)), empty_before=history.empty_before)
        return states.squeeze(0) * history.filled.unsqueeze(-1)
