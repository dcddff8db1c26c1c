"""HiTrans: a transformer over the words of a dialogue, one over its utterances, and a second task: who speaks alike?

    [cls] u_1 [cls] u_2 ... [sep]  ->  BERT  ->  v_i, the state at the i-th [cls]
    h = Transformer(v + sinusoids)         dferc/layers/lean_transformer.py
    emotion: logits_i = W h_i + b          CE
    speakers: [f(h_i) ; 1] U_k [g(h_j) ; 1], k = different, same;  f, g = leaky relu of a linear map;  CE over all pairs
    loss = CE_emotion / 2 s_1^2 + CE_speakers / 2 s_2^2 + ln s_1 + ln s_2, with s learned

The pairs are the ordered ones of a dialogue, an utterance with itself included. Source of the defaults: ljynlp/HiTrans,
for MELD [code]. Its learning rate falls by 0.95 an epoch, ours along a line; its decay of weights is Adam's L2 term.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from dferc.corpus.batch import DialogueBatch, MarkedSequences, Packer
from dferc.encoders.dialogue_packing import DialoguePacker
from dferc.layers.lean_transformer import LeanTransformer
from dferc.layers.reduction import ALONE, LossTerm, Reduction
from dferc.models.base import ModelConfig, Output, Task
from dferc.models.token_model import TokenConfig, TokenModel


class HiTransConfig(TokenConfig):
    """Settings of HiTrans."""

    backbone: str = Field(
        "bert-base-uncased",
        description="folder or name of an encoder like BERT, or `scratch` [code: bert-base-uncased]",
    )
    layers: int = Field(1, ge=1, description="of the transformer over utterances [code]")
    heads: int = Field(6, ge=1, description="of its attention, fewer where they do not divide its width [code]")
    feed_forward: int = Field(768, ge=1, description="its inner width [code: d_ff]")
    transformer_dropout: float = Field(0.1, ge=0, lt=1, description="inside it [code]")
    dropout: float = Field(0.5, ge=0, lt=1, description="before each of the output layers [code]")
    speaker_task: Literal["learned", "off"] = Field(
        "learned", description="the second task, weighed by a learned uncertainty [code], or none"
    )


class HiTrans(TokenModel):
    """The model of Li et al. (2020)."""

    name: ClassVar[str] = "hitrans"
    citation: ClassVar[str] = (
        "J. Li, D. Ji, F. Li, M. Zhang, Y. Liu. HiTrans: A Transformer-Based Context- and Speaker-Sensitive Model for "
        "Emotion Detection in Conversations. COLING 2020"
    )
    config_type: ClassVar[type[ModelConfig]] = HiTransConfig
    recipes: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "meld": {
            "learning_rate": 5e-5, "encoder_learning_rate": 1e-5, "weight_decay": 1e-5, "batch_dialogues": 8,
            "epochs": 20,
        },
    }  # fmt: skip
    small: ClassVar[Mapping[str, Any]] = {"backbone": "scratch", "max_tokens": 32, "layers": 2, "feed_forward": 8}

    def __init__(self, config: ModelConfig, task: Task) -> None:
        super().__init__(config, task)
        config = cast(HiTransConfig, config)
        backbone = self.load(config)
        width = backbone.width
        self.packer = DialoguePacker(backbone.words, config.max_tokens)
        self.encoder = backbone.transformer
        self.context = LeanTransformer(
            config.layers,
            width,
            heads_that_divide(width, config.heads),
            config.feed_forward,
            config.transformer_dropout,
        )
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(width, len(task.labels))
        self.speakers = SpeakerPairs(width, config.dropout) if config.speaker_task == "learned" else None

    def encoder_parameters(self) -> list[nn.Parameter]:
        """The backbone's, where it is pretrained."""
        return list(self.encoder.parameters()) if self.pretrained else []

    def text_packer(self) -> Packer:
        """Lays dialogues end to end."""
        return self.packer

    def loss_weights(self) -> Mapping[str, float | Tensor]:
        """Half the inverse variance of each task."""
        if self.speakers is None:
            return {}
        emotion, same_speaker = 0.5 / self.speakers.deviation**2
        return {"classification": emotion, "same_speaker": same_speaker}

    def forward(self, batch: DialogueBatch, across: Reduction = ALONE) -> Output:
        """Logits [B, T, C] and the losses of both tasks."""
        tokens = cast(MarkedSequences, batch.tokens)
        states = self.encoder(input_ids=tokens.ids, attention_mask=tokens.mask.long()).last_hidden_state
        utterances = self.context(batch.padded(tokens.pick(states)), batch.mask)
        losses = {} if self.speakers is None else self.speakers(utterances, batch)
        return self.classified(self.classifier(self.dropout(batch.flat(utterances))), batch, losses)


class SpeakerPairs(nn.Module):
    """Whether two utterances have one speaker, and how much that task and the emotions' weigh."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        half = width // 2
        self.first, self.second = (
            nn.Sequential(nn.Dropout(dropout), nn.Linear(width, half), nn.LeakyReLU(0.1)) for _ in range(2)
        )
        self.biaffine = nn.Parameter(nn.init.xavier_normal_(torch.zeros(2, half + 1, half + 1)))
        self.deviation = nn.Parameter(torch.ones(2))

    def logits(self, utterances: Tensor) -> Tensor:
        """Utterances [B, T, H] -> [B, T, T, 2]: different, same."""
        first, second = (F.pad(part(utterances), (0, 1), value=1.0) for part in (self.first, self.second))
        return torch.einsum("bxi,oij,byj->bxyo", first, self.biaffine, second)

    def forward(self, utterances: Tensor, batch: DialogueBatch) -> dict[str, LossTerm]:
        """The loss over all ordered pairs of a dialogue, and that of the learned deviations."""
        same = (batch.speakers.unsqueeze(2) == batch.speakers.unsqueeze(1)).long()
        pairs = (batch.mask.unsqueeze(2) & batch.mask.unsqueeze(1)).float()
        entropy = F.cross_entropy(self.logits(utterances).float().permute(0, 3, 1, 2), same, reduction="none")
        each = batch.mask.sum()
        return {
            "same_speaker": LossTerm((entropy * pairs).sum(), pairs.sum()),
            "uncertainty": LossTerm(self.deviation.log().sum() * each, each.float()),  # a constant: the mean of itself
        }


def heads_that_divide(width: int, most: int) -> int:
    """The most heads, up to ``most``, into which a width can be cut."""
    return next(heads for heads in range(most, 0, -1) if width % heads == 0)
