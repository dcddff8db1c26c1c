"""CoG-BART: BART reads each utterance, a transformer the dialogue, and contrast and generation help.

    BART: "NAME : TEXT" is read by the encoder and repeated by the decoder;  v_i = max over its sub-tokens of the states
    a = LN(v + MHA(v))    h = LN(a + W2 gelu(W1 a))    logits = U2 gelu(U1 h)                biases left out
    classification: CE over logits
    contrastive:    -1 / |P(i)| sum_{p in P(i)} log( exp(z_i.z_p / tau) / sum_{j != i} exp(z_i.z_j / tau) )
    generation:     CE over the words of the next utterance, "end" behind the last, decoded from what was read of this
    loss = (1 - alpha - beta) classification + alpha contrastive + beta generation

z are the logits of two views of every utterance of the batch, P(i) those of its class: the second view starts from the
same v, passes no gradient to BART, and differs by dropout. Utterances without a label give context and nothing else.

In the release the dialogue transformer attends to the utterances with the same number in the *other* dialogues of the
batch, never to the dialogue (its axes are swapped), zeros standing for those that have ended: ``context``. Its
generation counts the padding up to the longest length: ``padding``. It cuts dialogues into pieces of 8 utterances, and
runs the encoder once for each task, which only dropout can tell. Source of the defaults: whatissimondoing/CoG-BART
[code]. The paper's attention is over the dialogue.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self, cast

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from dferc.corpus.batch import DialogueBatch, Packer
from dferc.encoders.exchange_packing import ExchangePacker, Exchanges
from dferc.errors import UserError
from dferc.layers.bart import Bart, highest
from dferc.layers.contrastive import class_contrast
from dferc.layers.reduction import ALONE, LossTerm, Reduction
from dferc.layers.switched_transformer import TransformerLayer
from dferc.layers.utterances import Utterances
from dferc.models.base import ModelConfig, Output, Task
from dferc.models.token_model import TokenConfig, TokenModel

Context = Literal["within", "across", "alone"]
OPTIMISER = {
    "learning_rate": 2e-5, "encoder_learning_rate": 2e-5, "weight_decay": 0.01, "adam_beta2": 0.999,
    "adam_epsilon": 1e-6, "batch_dialogues": 2,
}  # fmt: skip
"""Published for every corpus [code: train.sh]."""


class CogBartConfig(TokenConfig):
    """Settings of CoG-BART."""

    backbone: str = Field("facebook/bart-large", description="folder or name of a BART, or `scratch` [code]")
    max_tokens: int = Field(
        128, ge=4, description="most sub-tokens of an utterance; the end of longer ones is cut [code]"
    )
    speaker_names: bool = Field(True, description="write the speaker's name before each transcript [code]")
    context: Context = Field(
        "within",
        description="what it attends to: the dialogue [paper], utterances of its number in the batch [code], itself",
    )
    dialogue_heads: int = Field(8, ge=1, description="heads of the dialogue transformer; they divide its width [code]")
    dialogue_feed_forward: int = Field(2048, ge=1, description="its inner width [code: PyTorch's default]")
    dialogue_dropout: float = Field(0.1, ge=0, lt=1, description="inside it [code: PyTorch's default]")
    hidden: int = Field(400, ge=1, description="width of the layer before the classifier [code]")
    dropout: float = Field(0.3, ge=0, lt=1, description="in that layer, before its GELU [code]")
    contrastive_weight: float = Field(0.4, ge=0, le=1, description="alpha [code: 0.4, on MELD 0.5]; 0 leaves it out")
    generation_weight: float = Field(0.1, ge=0, le=1, description="beta [code]; 0 leaves it out")
    contrastive_temperature: float = Field(5.0, gt=0, description="tau [code: with bart-large]")
    padding: Literal["exact", "released"] = Field(
        "exact", description="released: generation counts the padding behind an utterance, up to max_tokens [code]"
    )

    @model_validator(mode="after")
    def _classification_is_left(self) -> Self:
        if self.contrastive_weight + self.generation_weight > 1:
            raise ValueError("contrastive_weight and generation_weight leave nothing: their sum is more than 1")
        return self


class CogBart(TokenModel):
    """The model of Li et al. (2022)."""

    name: ClassVar[str] = "cog_bart"
    citation: ClassVar[str] = (
        "S. Li, H. Yan, X. Qiu. Contrast and Generation Make BART a Good Dialogue Emotion Recognizer. AAAI 2022, "
        "arXiv:2112.11202"
    )
    config_type: ClassVar[type[ModelConfig]] = CogBartConfig
    recipes: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "iemocap": {**OPTIMISER, "epochs": 25, "contrastive_weight": 0.4},
        "meld": {**OPTIMISER, "epochs": 4, "contrastive_weight": 0.5},
    }
    small: ClassVar[Mapping[str, Any]] = {
        "backbone": "scratch", "max_tokens": 12, "dialogue_feed_forward": 8, "hidden": 8,
    }  # fmt: skip
    kind: ClassVar[Literal["bart"]] = "bart"
    needs: ClassVar[tuple[str, ...]] = ("bos", "eos")

    def __init__(self, config: ModelConfig, task: Task) -> None:
        super().__init__(config, task)
        config = cast(CogBartConfig, config)
        backbone = self.load(config)
        width, heads = backbone.width, config.dialogue_heads
        if width % heads:
            raise UserError(f"dialogue_heads = {heads} does not divide the {width} numbers of the backbone's states")
        self.weights = {"contrastive": config.contrastive_weight, "generation": config.generation_weight}
        self.temperature = config.contrastive_temperature
        self.packer = ExchangePacker(
            backbone.words, config.max_tokens, config.speaker_names, count_padding=config.padding == "released"
        )
        self.bart = Bart(backbone.transformer)
        self.context = DialogueTransformer(
            config.context, width, heads, config.dialogue_feed_forward, config.dialogue_dropout
        )
        self.classifier = nn.Sequential(
            nn.Linear(width, config.hidden),
            nn.Dropout(config.dropout),
            nn.GELU(),
            nn.Linear(config.hidden, len(task.labels)),
        )

    def encoder_parameters(self) -> list[nn.Parameter]:
        """The backbone's, where it is pretrained."""
        return list(self.bart.parameters()) if self.pretrained else []

    def text_packer(self) -> Packer:
        """Lays each utterance beside the next."""
        return self.packer

    def loss_weights(self) -> dict[str, float]:
        """What the two further losses leave goes to the classification."""
        further = {name: weight for name, weight in self.weights.items() if weight}
        return {"classification": 1 - sum(further.values()), **further}

    def forward(self, batch: DialogueBatch, across: Reduction = ALONE) -> Output:
        """Logits [B, T, C] and the three losses."""
        tokens = cast(Exchanges, batch.tokens)
        read = self.bart.read(tokens.ids, tokens.mask)
        vectors = self.vectors(tokens, read)[: len(batch.valid)]
        logits = self.classifier(self.context(vectors, batch))
        known = self.known(batch)
        losses = {}
        if self.weights["contrastive"]:
            views = torch.stack([logits, self.classifier(self.context(vectors.detach(), batch))])
            losses["contrastive"] = class_contrast(
                views, known.labels, known.labelled, logits.shape[-1], self.temperature, across
            )
        if self.weights["generation"]:
            losses["generation"] = self.generation(tokens, read, known)
        return self.classified(logits, batch, losses)

    def vectors(self, tokens: Exchanges, read: Tensor) -> Tensor:
        """What was read of the utterances [N, L, H] -> their vectors [N, H]."""
        return highest(self.bart.say(tokens.ids, read, tokens.mask), tokens.mask)

    def generation(self, tokens: Exchanges, read: Tensor, known: Utterances) -> LossTerm:
        """Cross-entropy of the sub-tokens of the answers to labelled utterances; read is [N, L, H]."""
        states = self.bart.say(tokens.answers, read, tokens.mask).flatten(0, 1)
        logits = self.bart.next_words(states.index_select(0, tokens.counted))
        said = tokens.answers.flatten().index_select(0, tokens.counted)
        labelled = known.labelled.index_select(0, tokens.counted // tokens.answers.shape[1])
        entropy = F.cross_entropy(logits.float(), said, reduction="none")
        return LossTerm((entropy * labelled).sum(), labelled.sum())


class DialogueTransformer(nn.Module):
    """One layer, post-norm, without positions."""

    def __init__(self, context: Context, width: int, heads: int, feed_forward: int, dropout: float) -> None:
        super().__init__()
        self.context = context
        self.layer = TransformerLayer(width, heads, feed_forward, dropout)

    def forward(self, utterances: Tensor, batch: DialogueBatch) -> Tensor:
        """[N, H] -> [N, H]."""
        if self.context == "within":
            return batch.flat(self._attend(batch.padded(utterances), batch.mask))
        if self.context == "across":
            turns = batch.padded(utterances).transpose(0, 1)
            return batch.flat(self._attend(turns, torch.ones_like(batch.mask.T)).transpose(0, 1))
        return self._attend(utterances.unsqueeze(1), torch.ones_like(utterances[:, :1], dtype=torch.bool)).squeeze(1)

    def _attend(self, places: Tensor, heard: Tensor) -> Tensor:
        attended: Tensor = self.layer(places, heard)[0]
        return attended
