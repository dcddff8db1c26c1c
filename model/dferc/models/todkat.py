"""TODKAT: a topic for each utterance, knowledge chosen by topic, and a transformer that writes the emotions in order.

    m_n, u_n = states at [cls] of ``[cls] utterance [sep]``: after half of the backbone's layers, after all of them
    z_n = topic of m_n and of those before it                       dferc/layers/topics.py
    c_n = knowledge k_(n,r) of relations r, by attention of z_n     dferc/layers/knowledge_choice.py
    x_n = W [u_n ; z_n ; c_n] + b + sinusoids(n)
    logits = decoder of emotions over a causal encoder of x         dferc/layers/emotion_sequence.py
    loss = CE(logits) + a CE(draft) + t (reconstruction + divergence)

A reinterpretation: of the paper only the abstract and the introduction could be read [paper]; more of its method is
remembered, not checked [recalled]; something678/TodKat is released [code], but differs from both.

[paper] a language model with a layer for topics; commonsense statements; a transformer encoder-decoder that fuses both
and predicts the sequence of labels. [recalled] the topic layer is a variational autoencoder halfway up the language
model, whose topics depend on those before them; statements are weighed by attention of the topic; [cls], topic and
knowledge are concatenated; the encoder sees no later utterance; emotions depend on those before them.
[code] the topic is taken halfway up; prior N(0, I); widths of the topic; relations xIntent, xReact, oReact; RoBERTa
read utterance by utterance; one gelu layer of 8 heads, width of the backbone, for context; the training settings.

Not here: in the release the topic layer is trained first, by masked words and the state at [cls], here along with
the rest, by the words [ours]; its classifier uses neither topic nor knowledge vectors, has no decoder, and attends
across the dialogues of a batch, turn by turn. The paper also retrieves statements from ATOMIC and chooses between
those and COMET's [recalled]; here are COMET's vectors alone. A relation that the corpus lacks is left out, and the log
says so; without any there is no c.
"""

import logging
from collections.abc import Mapping
from typing import Any, ClassVar, Self, cast

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from dferc.corpus.batch import TEXT, DialogueBatch, MarkedSequences, Packer
from dferc.encoders.utterance_packing import UtterancePacker
from dferc.layers.emotion_sequence import EmotionSequence
from dferc.layers.inputs import Inputs
from dferc.layers.knowledge_choice import KnowledgeChoice
from dferc.layers.reduction import ALONE, Reduction
from dferc.layers.switched_transformer import sinusoids
from dferc.layers.topics import Topics
from dferc.models.base import ModelConfig, Output, Task
from dferc.models.token_model import TokenConfig, TokenModel

logger = logging.getLogger(__name__)

RELATIONS = ("comet_xintent", "comet_xreact", "comet_oreact")
"""Modalities that hold COMET's vectors: what the speaker meant, feels then, and what others feel [code]."""
OPTIMISATION = {
    "learning_rate": 2e-5, "encoder_learning_rate": 2e-5, "weight_decay": 0.01, "batch_dialogues": 2, "epochs": 100,
    "warmup_steps": 1_000_000, "adam_beta2": 0.999, "adam_epsilon": 1e-6,
}  # fmt: skip
"""[code: fit and its call; the warm-up is half of all steps, which is where ours ends too]."""


class TodkatConfig(TokenConfig):
    """Settings of TODKAT."""

    backbone: str = Field(
        "roberta-large", description="folder or name of an encoder like RoBERTa, or `scratch` [paper: RoBERTa]"
    )
    max_tokens: int = Field(108, ge=8, description="sub-tokens of an utterance; what is longer is cut [code: MELD]")
    knowledge: bool = Field(True, description="use what the corpus has of COMET's vectors [paper]")
    standardise: bool = Field(True, description="shift and scale them by their training mean and deviation [ours]")
    topic_hidden: int = Field(512, ge=1, description="width inside the topic layer [code: param_encoder_pi_size]")
    topic_width: int = Field(1024, ge=1, description="width of a topic [code: param_topic_embedsize]")
    topic_weight: float = Field(0.01, ge=0, description="of reconstruction and divergence, means over words [ours]")
    hidden: int = Field(1024, ge=1, description="width of encoder and decoder [code: the backbone's]")
    heads: int = Field(8, ge=1, description="of each attention; must divide hidden and topic_hidden [code]")
    feed_forward: int = Field(2048, ge=1, description="inner width of their layers [code: PyTorch's default]")
    layers: int = Field(1, ge=1, description="of the encoder [code] and of the decoder [ours]")
    dropout: float = Field(0.1, ge=0, lt=1, description="inside their layers [code: PyTorch's default]")
    draft_weight: float = Field(0.5, ge=0, description="of the draft's cross-entropy [ours]")

    @model_validator(mode="after")
    def _heads_divide(self) -> Self:
        if self.hidden % self.heads or self.topic_hidden % self.heads:
            raise ValueError(f"heads ({self.heads}) must divide hidden and topic_hidden")
        return self


class Todkat(TokenModel):
    """The model of Zhu et al. (2021), as far as it is known."""

    name: ClassVar[str] = "todkat"
    citation: ClassVar[str] = (
        "L. Zhu, G. Pergola, L. Gui, D. Zhou, Y. He. Topic-Driven and Knowledge-Aware Transformer for Dialogue Emotion "
        "Detection. ACL 2021. arXiv:2106.01071"
    )
    config_type: ClassVar[type[ModelConfig]] = TodkatConfig
    causal: ClassVar[bool] = True
    recipes: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "iemocap": {"max_tokens": 100, **OPTIMISATION},
        "meld": OPTIMISATION,
    }
    small: ClassVar[Mapping[str, Any]] = {
        "backbone": "scratch", "max_tokens": 16, "topic_hidden": 8, "topic_width": 6, "hidden": 8, "heads": 2,
        "feed_forward": 8,
    }  # fmt: skip

    def __init__(self, config: ModelConfig, task: Task) -> None:
        super().__init__(config, task)
        config = cast(TodkatConfig, config)
        backbone = self.load(config)
        self.encoder = backbone.transformer
        self.packer = UtterancePacker(backbone.words, config.max_tokens)
        self.weights = {
            "draft": config.draft_weight, "reconstruction": config.topic_weight, "divergence": config.topic_weight,
        }  # fmt: skip
        known = {name: task.widths[name] for name in RELATIONS if name in task.widths} if config.knowledge else {}
        if config.knowledge and len(known) < len(RELATIONS):
            absent = ", ".join(name for name in RELATIONS if name not in known)
            logger.warning("todkat runs without %s: the corpus has no such vectors", absent)
        self.modalities = (TEXT, *known)
        embedding_width = self.encoder.get_input_embeddings().weight.shape[1]
        self.topics = Topics(backbone.width, config.topic_hidden, config.topic_width, config.heads, embedding_width)
        self.inputs = Inputs(list(known.items()), dict(task.statistics), config.standardise) if known else None
        self.knowledge = KnowledgeChoice(known, config.topic_width, config.hidden) if known else None
        joined = backbone.width + config.topic_width + (config.hidden if known else 0)
        self.fusion = nn.Linear(joined, config.hidden)
        self.sequence = EmotionSequence(
            config.hidden, config.heads, config.feed_forward, config.layers, config.dropout, len(task.labels)
        )

    def encoder_parameters(self) -> list[nn.Parameter]:
        """The backbone's, where it is pretrained."""
        return list(self.encoder.parameters()) if self.pretrained else []

    def text_packer(self) -> Packer:
        """Makes a sequence of each utterance."""
        return self.packer

    def loss_weights(self) -> Mapping[str, float | Tensor]:
        """Those of the draft and of the topics."""
        return self.weights

    def forward(self, batch: DialogueBatch, across: Reduction = ALONE) -> Output:
        """Logits [B, T, C], the losses of decoder, draft and topics, and what of the knowledge was chosen."""
        tokens = cast(MarkedSequences, batch.tokens)
        layers = self.encoder(
            input_ids=tokens.ids, attention_mask=tokens.mask.long(), output_hidden_states=True
        ).hidden_states
        halfway, utterances = map(tokens.pick, (layers[len(layers) // 2], layers[-1]))
        topics, divergence = self.topics(halfway, batch)
        parts, seen = [utterances, topics], {"topic_divergence": divergence}
        if self.inputs is not None and self.knowledge is not None:
            chosen, seen["knowledge_weights"] = self.knowledge(topics, *self.inputs(batch))
            parts.append(chosen)
        joined = batch.padded(self.fusion(torch.cat(parts, -1)))
        draft, logits = map(batch.flat, self.sequence(joined + sinusoids(joined)))
        words = self.encoder.get_input_embeddings().weight
        losses = self.topics.losses(topics, divergence, *words_of(tokens), words)
        losses["draft"] = self.known(batch).cross_entropy(draft)
        return self.classified(logits, batch, losses, seen)


def words_of(tokens: MarkedSequences) -> tuple[Tensor, Tensor]:
    """Numbers of the sub-tokens of each utterance [N, L], and which of them are words, not markers [N, L]."""
    inside = torch.zeros_like(tokens.mask)
    inside[:, 1:-1] = tokens.mask[:, 2:]
    rows = tokens.at // tokens.ids.shape[1]
    return tokens.ids.index_select(0, rows), inside.index_select(0, rows)
