"""CMN: a memory for each side of a conversation, which the query reads in hops.

    m_own = GRU_m,own(tanh h_own)    m_other = GRU_m,other(tanh h_other)
    hop:  a = softmax over filled slots of tanh(q . m)    q <- tanh(q + sum a_own m_own + sum a_other m_other)

h are the states of the local GRUs (dyadic_memory.py). Of the release [code], declare-lab/conv-emotion CMN/IEMOCAP:
- the GRUs of a memory run over all K slots, empty ones and those of the other side included, with an input of zeros;
- each side's attention spreads over the slots of both sides, though only its own hold values;
- the first hop scores the memory as the GRU left it, later hops that with zeros outside the own side;
- every hop reads the same memory: the release makes it anew in each, by the same GRU from the same input.
The paper's scores are not squashed (``squash``). Its convolutional extractors are not here: inputs are vectors.
"""

from typing import ClassVar

import torch
from torch import Tensor

from dferc.layers.history import History
from dferc.layers.parallel_gru import ParallelGRU
from dferc.models.base import ModelConfig, Task
from dferc.models.dyadic_memory import DyadicMemoryConfig, DyadicMemoryModel


class CMNConfig(DyadicMemoryConfig):
    """Settings of CMN."""


class CMN(DyadicMemoryModel):
    """The model of Hazarika, Poria, Zadeh et al. (2018), in the form of its TensorFlow release."""

    name: ClassVar[str] = "cmn"
    causal: ClassVar[bool] = True
    citation: ClassVar[str] = (
        "D. Hazarika, S. Poria, A. Zadeh, E. Cambria, L.-P. Morency, R. Zimmermann. Conversational Memory Network for "
        "Emotion Recognition in Dyadic Dialogue Videos. NAACL 2018"
    )
    config_type: ClassVar[type[ModelConfig]] = CMNConfig

    def __init__(self, config: ModelConfig, task: Task) -> None:
        super().__init__(config, task)
        self.memory = ParallelGRU(("own", "other"), self.settings.hidden, self.settings.hidden)

    def after_hops(self, query: Tensor, sides: Tensor, history: History) -> Tensor:
        """The query [N, H] when it has read both memories, made of the sides [2, N, S, H]."""
        states = self.memory(self.memory.project(torch.tanh(sides)), empty_before=history.empty_before)
        memories = states * history.sides.unsqueeze(-1)
        for hop in range(self.settings.hops):
            own, other = self.attend(query, memories if hop else states, memories, history)
            query = torch.tanh(query + own + other)
        return query
