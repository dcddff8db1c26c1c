"""DialogXL: an XLNet that reads turn by turn, with a memory of the dialogue and heads that know who speaks and when.

    h_t = DialogueXLNet([cls] u_t | memory of u_1 ... u_t-1)[cls]     dferc/layers/dialogue_aware_attention.py
    logits = W_k relu(... relu(W_1 relu(W_0 h_t)))

The memory holds what each layer was given at the latest ``memory`` sub-tokens of earlier turns, the ``cls`` left out;
no gradient flows through it. Nothing later than u_t is looked at: the model is causal. Source of the defaults:
shenwzh3/DialogXL [code], which takes an optimiser step after every turn; here a step is of whole dialogues.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast

from pydantic import Field, field_validator
from torch import Tensor, nn
from torch.nn import functional as F

from dferc.corpus.batch import DialogueBatch
from dferc.encoders.dialog_xl_packing import TurnPacker, Turns
from dferc.layers.dialogue_xlnet import DialogueXLNet
from dferc.layers.reduction import ALONE, LossTerm, Reduction
from dferc.models.base import ModelConfig, Output, Task
from dferc.models.token_model import TokenConfig, TokenModel

if TYPE_CHECKING:
    from dferc.encoders.backbone import Kind

MOST_TURNS = 1024
"""Turns that the loss can tell apart: the numbers that workers and batches add up must be equally many [ours]."""


class DialogXLConfig(TokenConfig):
    """Settings of DialogXL."""

    backbone: str = Field(
        "xlnet-base-cased", description="folder or name of an XLNet, or `scratch` [code: xlnet-base-cased]"
    )
    max_tokens: int = Field(
        200, ge=8, description="most sub-tokens of a turn; of what is longer the beginning is kept [code: max_sent_len]"
    )
    memory: int = Field(900, ge=1, description="most sub-tokens that a turn remembers, the latest [code: mem_len]")
    window: int = Field(10, ge=1, description="earlier turns that local heads see [code: windowp]")
    heads: str = Field(
        "3 3 3 3",
        pattern=r"^\d+ \d+ \d+ \d+$",
        description="local, global, speaker and listener heads; in these proportions where the backbone has more or "
        "fewer [code: num_heads, of 12]",
    )
    hidden: int = Field(300, ge=1, description="width of the layers before the classifier [code: hidden_dim]")
    hidden_layers: int = Field(2, ge=0, description="of them beside the first [code: mlp_layers]")
    dropout: float = Field(
        0.0, ge=0, lt=1, description="behind the first of them [code]; inside XLNet it is the backbone's own"
    )
    loss_over: Literal["utterances", "turns"] = Field(
        "utterances",
        description="mean over utterances [ours], or sum over turns of the mean over the dialogues that still run, on "
        "whose terms the release takes a step each [code]",
    )
    padding: Literal["exact", "released"] = Field(
        "exact", description="released: a turn also sees the padding behind it, up to the longest of its batch [code]"
    )

    @field_validator("heads")
    @classmethod
    def _some(cls, heads: str) -> str:
        if not any(int(number) for number in heads.split()):
            raise ValueError("give at least one kind of head a number above 0")
        return heads


class DialogXL(TokenModel):
    """The model of Shen et al. (2021)."""

    name: ClassVar[str] = "dialog_xl"
    citation: ClassVar[str] = (
        "W. Shen, J. Chen, X. Quan, Z. Xie. DialogXL: All-in-One XLNet for Multi-Party Conversation Emotion "
        "Recognition. AAAI 2021"
    )
    config_type: ClassVar[type[ModelConfig]] = DialogXLConfig
    causal: ClassVar[bool] = True
    kind: ClassVar["Kind"] = "xlnet"
    needs: ClassVar[tuple[str, ...]] = ("cls",)
    recipes: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        corpus: {
            "learning_rate": rate, "encoder_learning_rate": rate, "weight_decay": 0.0, "gradient_clip": 5.0,
            "warmup_steps": 0, "adam_beta2": 0.999, "adam_epsilon": 1e-6, **settings,
        }
        for corpus, rate, settings in (
            ("iemocap", 1e-5, {"batch_dialogues": 8, "epochs": 50, "heads": "2 2 4 4"}),
            (
                "meld",
                1e-6,
                {
                    "batch_dialogues": 4, "epochs": 15, "heads": "5 5 1 1", "max_tokens": 300, "memory": 400,
                    "window": 5,
                },
            ),
        )
    }  # fmt: skip
    small: ClassVar[Mapping[str, Any]] = {
        "backbone": "scratch", "max_tokens": 16, "memory": 12, "window": 2, "hidden": 8,
    }  # fmt: skip

    def __init__(self, config: ModelConfig, task: Task) -> None:
        super().__init__(config, task)
        config = cast(DialogXLConfig, config)
        # The library cannot recompute an XLNet, so that is done by our own layers.
        backbone = self.load(config.model_copy(update={"gradient_checkpointing": False}))
        self.packer = TurnPacker(backbone.words, config.max_tokens, config.memory, config.padding == "released")
        kinds = [int(number) for number in config.heads.split()]
        self.xlnet = DialogueXLNet(backbone.transformer, kinds, config.window, config.gradient_checkpointing)
        self.loss_over = config.loss_over
        self.pool = nn.Linear(backbone.width, config.hidden)
        self.dropout = nn.Dropout(config.dropout)
        layers = [nn.Linear(config.hidden, config.hidden) for _ in range(config.hidden_layers)]
        self.hidden = nn.Sequential(*(part for layer in layers for part in (layer, nn.ReLU())))
        self.classifier = nn.Linear(config.hidden, len(task.labels))

    def encoder_parameters(self) -> list[nn.Parameter]:
        """XLNet's, where it is pretrained."""
        return list(self.xlnet.parameters()) if self.pretrained else []

    def text_packer(self) -> TurnPacker:
        """Lays turns end to end."""
        return self.packer

    def forward(self, batch: DialogueBatch, across: Reduction = ALONE) -> Output:
        """Logits [B, T, C] and the classification loss."""
        number = batch.valid % batch.mask.shape[1]
        states = self.xlnet(cast(Turns, batch.tokens), number, batch.flat(batch.speakers))
        logits = self.classifier(self.hidden(self.dropout(F.relu(self.pool(states)))))
        if self.loss_over == "utterances":
            return self.classified(logits, batch)
        return Output(batch.padded(logits), {"classification": self._over_turns(logits, batch, number)})

    def _over_turns(self, logits: Tensor, batch: DialogueBatch, number: Tensor) -> LossTerm:
        """Cross-entropy of logits [N, C], a cell for each number of a turn."""
        known = self.known(batch)
        entropy = F.cross_entropy(logits.float(), known.labels, reduction="none") * known.labelled
        cell, cells = number.clamp_max(MOST_TURNS - 1), entropy.new_zeros(MOST_TURNS)
        return LossTerm(cells.index_add(0, cell, entropy), cells.index_add(0, cell, known.labelled))
