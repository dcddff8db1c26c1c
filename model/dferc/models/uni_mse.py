"""UniMSE: a T5 that hears and sees through adapters in its last layers, and says the emotion as a word.

    v_m = W LSTM(x_m), audio and visual                    dferc/layers/sequence_encoder.py
    h <- adapter(h, [v_a ; v_v]) behind each of the last layers of encoder and decoder, dferc/layers/fusion_adapter.py
    logits_c = sum over the sub-tokens w_k of class c and the end mark: ln p(w_k | w_<k, input)
    loss = - ln p(true class) a sub-token + 0.5 sum_m contrast(text, m)

The input is the prompt of the release and the utterance between those around it; the decoder attends to the utterance
itself. The contrast (dferc/layers/paired_contrast.py) is between the mean of what the last block of each stack is given
and the mean of the LSTM's states. Source of the defaults: LeMei/UniMSE [code]. The release trains on four corpora at
once, with labels transferred between them; here is one corpus and its own labels.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from dferc.corpus.batch import TEXT, DialogueBatch
from dferc.encoders.fused_t5 import Adapters, ClassNames, FusedT5, start_of
from dferc.encoders.uni_mse_packing import WindowPacker, Windows
from dferc.layers.inputs import Inputs
from dferc.layers.paired_contrast import PairedContrast, mean_over
from dferc.layers.reduction import ALONE, LossTerm, Reduction
from dferc.layers.sequence_encoder import UtteranceSequences
from dferc.layers.utterances import Utterances
from dferc.models.base import ModelConfig, Output, Task, without_text
from dferc.models.token_model import TokenConfig, TokenModel

BESIDE_TEXT = ("audio", "visual")


class UniMSEConfig(TokenConfig):
    """Settings of UniMSE."""

    backbone: str = Field(
        "google-t5/t5-base", description="folder or name of a T5 with its output layer, or `scratch` [code: t5-base]"
    )
    max_tokens: int = Field(512, ge=16, description="most sub-tokens of an input; what is longer is cut [code]")
    tuned_layers: int | None = Field(
        2,
        ge=0,
        description="last blocks of each stack of a pretrained T5 that learn; without a number all of it does; "
        "from scratch everything learns [code: block.10, block.11]",
    )
    modalities: tuple[str, ...] | None = Field(
        None,
        description="what stands beside the text, which is always read and need not be named; by default audio and "
        "visual, where the corpus has them; empty for the text alone",
    )
    standardise: bool = Field(
        True, description="shift and scale each input by its training mean and deviation [ours]; false for the release"
    )
    past: int = Field(2, ge=0, description="utterances before the current one in its input [paper, unchecked]")
    future: int = Field(2, ge=0, description="utterances after it [paper, unchecked]")
    speaker_names: bool = Field(
        False, description="each begins with its speaker's name [ours; the release does so in a form unknown]"
    )
    decoder_hears: Literal["utterance", "window"] = Field(
        "utterance", description="what the decoder attends to [code: modeling_t5_prefix_sep_contexts.py], or all of it"
    )
    adapter: Literal["sequential", "parallel"] = Field("sequential", description="form of the adapters [code: ffn]")
    adapter_layers: int = Field(3, ge=0, description="last blocks of each stack that have one [code]")
    adapter_width: int = Field(64, ge=1, description="of its bottleneck [code]")
    sequence_hidden: int = Field(32, ge=1, description="width of each LSTM, and direction [code: d_ah, d_vh]")
    sequence_output: int = Field(32, ge=1, description="width of its vector [code: d_aout, d_vout]")
    bidirectional: bool = Field(False, description="whether the LSTMs run both ways [code]")
    vectors_past: int = Field(
        0, ge=0, description="earlier utterances whose vectors the LSTMs read first [ours: 0; frames in the release]"
    )
    dropout: float = Field(0.3, ge=0, lt=1, description="on the LSTM's last state [code]")
    objective: Literal["generate", "discriminate"] = Field(
        "generate",
        description="of the classification: the likelihood of the true class's name, a sub-token [code], or the "
        "cross-entropy over the classes [ours]",
    )
    contrast_weight: float = Field(0.5, ge=0, description="of each modality's contrast [code, where it is asked for]")
    contrast_width: int = Field(30, ge=1, description="of the projections that are contrasted [code]")
    contrast_temperature: float = Field(0.1, gt=0, description="of the contrast [code]")

    def vectors(self) -> tuple[str, ...] | None:
        """All in use but the text, which the T5 reads."""
        return without_text(self.modalities)


class UniMSE(TokenModel):
    """The model of Hu et al. (2022), trained on one corpus."""

    name: ClassVar[str] = "uni_mse"
    citation: ClassVar[str] = (
        "G. Hu, T.-E. Lin, Y. Zhao, G. Lu, Y. Wu, Y. Li. UniMSE: Towards Unified Multimodal Sentiment Analysis and "
        "Emotion Recognition. EMNLP 2022"
    )
    config_type: ClassVar[type[ModelConfig]] = UniMSEConfig
    kind: ClassVar[Literal["t5"]] = "t5"
    needs: ClassVar[tuple[str, ...]] = ("eos",)
    recipes: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        corpus: {
            "learning_rate": 1e-4, "encoder_learning_rate": 3e-4, "weight_decay": 1e-4, "adam_beta2": 0.999,
            "adam_epsilon": 1e-8, "batch_dialogues": dialogues, "epochs": 20,
        }
        for corpus, dialogues in (("iemocap", 1), ("meld", 3))
    }  # fmt: skip
    small: ClassVar[Mapping[str, Any]] = {
        "backbone": "scratch", "max_tokens": 32, "past": 1, "future": 1, "adapter_layers": 1, "adapter_width": 6,
        "sequence_hidden": 5, "sequence_output": 4, "contrast_width": 3, "vectors_past": 1,
    }  # fmt: skip

    def __init__(self, config: ModelConfig, task: Task) -> None:
        super().__init__(config, task)
        self.config = config = cast(UniMSEConfig, config)
        backbone = self.load(config)
        words, t5 = backbone.words, backbone.transformer
        chosen = tuple(m for m in BESIDE_TEXT if m in task.widths) if config.modalities is None else config.modalities
        widths = {name: task.widths[name] for name in chosen if name != TEXT}
        self.modalities = (TEXT, *widths)
        self.packer = WindowPacker(words, config.max_tokens, config.past, config.future, config.speaker_names)
        self.names = ClassNames(words.ids(task.labels), start_of(t5.config), words.special["eos"])
        output, ways = config.sequence_output, config.bidirectional
        self.inputs = Inputs(list(widths.items()), dict(task.statistics), config.standardise) if widths else None
        steps = config.sequence_hidden, output, ways, config.dropout
        self.beside = UtteranceSequences(widths, config.vectors_past, *steps)
        form = Adapters(config.adapter_layers, len(widths) * output, config.adapter_width, config.adapter == "parallel")
        self.t5 = FusedT5(t5, form, config.gradient_checkpointing)
        if self.pretrained and config.tuned_layers is not None:
            self.t5.tune(config.tuned_layers)
        sizes = backbone.width, config.sequence_hidden * (1 + ways), config.contrast_width
        stacks = ("encoder", "decoder") if widths and config.contrast_weight else ()
        self.contrasts = nn.ModuleDict({s: PairedContrast(*sizes, config.contrast_temperature) for s in stacks})

    def encoder_parameters(self) -> list[nn.Parameter]:
        """Those of a pretrained T5 that learn; the adapters are new and learn with the rest."""
        return self.t5.taken_over() if self.pretrained else []

    def text_packer(self) -> WindowPacker:
        """Lays utterances between their neighbours."""
        return self.packer

    def loss_weights(self) -> Mapping[str, float | Tensor]:
        """One weight for the contrasts of all modalities."""
        names = self.modalities[1:] if self.contrasts else ()
        return {f"contrast_{name}": self.config.contrast_weight for name in names}

    def forward(self, batch: DialogueBatch, across: Reduction = ALONE) -> Output:
        """Logits [B, T, C], the classification loss and each modality's contrast."""
        tokens = cast(Windows, batch.tokens)
        inputs, present = ({}, torch.empty(0)) if self.inputs is None else self.inputs(batch)
        vectors, steps = self.beside(inputs, batch)
        utterances = len(vectors)
        beside = F.pad(vectors, (0, 0, 0, len(tokens.ids) - utterances))  # for the one input that stands for none
        read = self.t5.read(tokens.ids, tokens.mask, beside)
        audible = tokens.current if self.config.decoder_hears == "utterance" else tokens.mask
        likelihoods, said = self.t5.score(self.names, read.states, audible, beside)
        logits = (likelihoods[:utterances].unsqueeze(-1) * self.names.owner).sum(1)

        known = self.known(batch)
        losses = self._generation(logits, known)
        if self.contrasts:
            of_label = self.names.owner.T[known.labels] * known.labelled.unsqueeze(1)
            views = {
                "encoder": (
                    mean_over(read.given[:utterances], tokens.mask[:utterances]),
                    torch.ones_like(vectors[:, 0]),
                ),
                "decoder": (mean_over(said.given[:utterances], of_label), known.labelled),
            }
            losses |= self._contrast(views, steps, present, across)
        return self.classified(logits, batch, losses)

    def _generation(self, logits: Tensor, known: Utterances) -> dict[str, LossTerm]:
        """The classification loss, where it is not the cross-entropy over classes: a mean over sub-tokens."""
        if self.config.objective == "discriminate":
            return {}
        true = logits.gather(1, known.labels.unsqueeze(1)).squeeze(1)
        words = self.names.owner.sum(0)[known.labels]
        return {"classification": LossTerm(-(true * known.labelled).sum(), (words * known.labelled).sum())}

    def _contrast(
        self,
        views: Mapping[str, tuple[Tensor, Tensor]],
        steps: Mapping[str, Tensor],
        present: Tensor,
        across: Reduction,
    ) -> dict[str, LossTerm]:
        """Of each modality with the text in both stacks: the sum of the two means.

        Args:
            views: of the text, by stack, with 1 where an utterance has one.
            steps: of the modality, by name.
            present: [M, N] 1 where an utterance has the modality.
            across: the other workers.
        """
        losses = {}
        for here, (name, states) in zip(present, steps.items(), strict=True):
            terms = [self.contrasts[s](view, states, here * there, across) for s, (view, there) in views.items()]
            total, count = (torch.stack([getattr(term, part) for term in terms]) for part in ("total", "count"))
            losses[f"contrast_{name}"] = LossTerm(total, count)
        return losses
