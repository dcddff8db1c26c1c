"""CoMPM: a transformer reads the conversation so far, another what the speaker said before; a GRU tracks the latter.

    c_t = Context([cls] <s1> u_1 <s2> u_2 ... <s> u_t)[0]
    m_k = Memory([cls] u_k)[0]    for each earlier u_k of the same speaker
    k_t = GRU_2(m_k1, m_k2, ...), its last output; 0 where the speaker has not spoken before
    logits = W (c_t + k_t) + b

[0] is the state at the first sub-token. Nothing later than u_t is looked at: the model is causal. An utterance is read
once for all that remember it, and the GRU runs once over what each speaker says. Source of the defaults: rungjoo/CoMPM
[code], which takes a step after every utterance; here a step is of whole dialogues.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from dferc.corpus.batch import DialogueBatch, Sequences
from dferc.encoders.comp_m_packing import MemoryPacker, MemoryTokens
from dferc.layers.eager import eager
from dferc.layers.reduction import ALONE, Reduction
from dferc.models.base import ModelConfig, Output, Task
from dferc.models.token_model import TokenConfig, TokenModel


class CoMPMConfig(TokenConfig):
    """Settings of CoMPM."""

    backbone: str = Field(
        "roberta-large",
        description="folder or name of an encoder like RoBERTa, or `scratch`; both transformers begin as it "
        "[code: roberta-large]",
    )
    memory: Literal["trained", "frozen", "scratch"] = Field(
        "trained",
        description="the transformer of the memory learns [code], stays as it was (CoMPM(f) [paper]), or begins with "
        "random weights (CoMPM(s) [paper])",
    )
    memory_layers: int = Field(2, ge=1, description="of the GRU [code]")
    memory_dropout: float = Field(0.3, ge=0, lt=1, description="between them [code]")
    padding: Literal["exact", "released"] = Field(
        "exact", description="released: the memory attends to the padding behind shorter memories [code]"
    )


class CoMPM(TokenModel):
    """The model of Lee and Lee (2022)."""

    name: ClassVar[str] = "comp_m"
    citation: ClassVar[str] = (
        "J. Lee, W. Lee. CoMPM: Context Modeling with Speaker's Pre-trained Memory Tracking for Emotion Recognition in "
        "Conversation. NAACL 2022"
    )
    config_type: ClassVar[type[ModelConfig]] = CoMPMConfig
    needs: ClassVar[tuple[str, ...]] = ("cls",)
    causal: ClassVar[bool] = True
    recipes: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        corpus: {
            "learning_rate": 1e-6, "encoder_learning_rate": 1e-6, "gradient_clip": 10.0, "adam_beta2": 0.999,
            "adam_epsilon": 1e-8, "batch_dialogues": 1, "epochs": epochs, "warmup_steps": dialogues,
        }
        for corpus, epochs, dialogues in (("iemocap", 12, 108), ("meld", 10, 1038))
    }  # fmt: skip
    small: ClassVar[Mapping[str, Any]] = {"backbone": "scratch", "max_tokens": 32}

    def __init__(self, config: ModelConfig, task: Task) -> None:
        super().__init__(config, task)
        config = cast(CoMPMConfig, config)
        backbone = self.load(config)
        self.packer = MemoryPacker(backbone.words, config.max_tokens, over_padding=config.padding == "released")
        self.context = backbone.transformer
        fresh = config.memory == "scratch"
        self.memory = anew(backbone.transformer, config) if fresh else self.load(config).transformer
        self.memory.requires_grad_(config.memory != "frozen")
        self.pretrained_parts = (("context",) if fresh else ("context", "memory")) if backbone.pretrained else ()
        layers, width = config.memory_layers, backbone.width
        dropout = config.memory_dropout if layers > 1 else 0.0  # torch warns of a dropout that does nothing
        self.track = nn.GRU(width, width, layers, batch_first=True, dropout=dropout)
        self.classifier = nn.Linear(width, len(task.labels))

    def encoder_parameters(self) -> list[nn.Parameter]:
        """Those of each transformer that is pretrained."""
        return [parameter for part in self.pretrained_parts for parameter in self.get_submodule(part).parameters()]

    def text_packer(self) -> MemoryPacker:
        """Packs conversations and memories."""
        return self.packer

    def forward(self, batch: DialogueBatch, across: Reduction = ALONE) -> Output:
        """Logits [B, T, C] and the classification loss."""
        tokens = cast(MemoryTokens, batch.tokens)
        memory = self._tracked(first(self.memory, tokens.memories), tokens)
        context = first(self.context, tokens.context)[: len(memory)]  # all, but of the one read for no dialogue
        return self.classified(self.classifier(context + memory), batch)

    @eager  # the kernels of the library are what is fast here
    def _tracked(self, memories: Tensor, tokens: MemoryTokens) -> Tensor:
        """Memories [R, H] -> what each utterance's speaker remembers [N, H]."""
        nothing = memories.new_zeros(1, memories.shape[1])
        states: Tensor = self.track(torch.cat([memories, nothing])[tokens.tracks])[0].flatten(0, 1)
        return torch.cat([states, states.new_zeros(1, states.shape[1])]).index_select(0, tokens.latest)


def first(transformer: nn.Module, sequences: Sequences) -> Tensor:
    """States [K, H] at the first sub-tokens of sequences [K, L]."""
    states: Tensor = transformer(input_ids=sequences.ids, attention_mask=sequences.mask.long()).last_hidden_state
    return states[:, 0]


def anew(transformer: Any, config: CoMPMConfig) -> Any:
    """A transformer of the same sizes with random weights [code: --initial scratch]."""
    fresh = type(transformer)(transformer.config)
    if getattr(fresh, "pooler", None) is not None:
        fresh.pooler = None  # nothing would ever train it
    if config.gradient_checkpointing:
        fresh.activation_checkpointing_enable()
    return fresh
