"""What a model of commonsense infers from each transcript, one vector an utterance and relation of ATOMIC.

COMET is asked what follows from an utterance by a relation, and answers in words. The vector is the state from which
the first word is predicted: of the decoder's last layer, at its first step. declare-lab/sentence-ordering (by COSMIC's
author) and circle-hit/KBCIN take the same of COMET-ATOMIC 2020's BART (Hwang et al., AAAI 2021, arXiv 2010.05953).
COSMIC's release asked an older COMET, a GPT (Bosselut et al., ACL 2019), whose state at the relation's token it took:
also that of the first word.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import transformers
from pydantic import BaseModel, ConfigDict, Field, field_validator

from dferc.corpus.contract import Modality
from dferc.corpus.recordings import RecordedUtterance
from dferc.encoders.comet_questions import Questions
from dferc.encoders.extractor import Extracted
from dferc.encoders.loading import load_pretrained
from dferc.encoders.utterance_text import ROUND, tensors_sha256
from dferc.errors import UserError

Relation = Literal["xIntent", "xAttr", "xNeed", "xWant", "xEffect", "xReact", "oWant", "oEffect", "oReact"]
"""Of ATOMIC (Sap et al., AAAI 2019): what an event says of its agent x and of others o."""


class CometExtraction(BaseModel):
    """How transcripts become COMET's vectors."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str = Field(
        default="mismayil/comet-bart-ai2",
        description="folder with safetensors, or name on the Hugging Face hub, of an encoder and decoder trained as a "
        "COMET [COMET-ATOMIC 2020: its BART, of which this is a copy]",
    )
    relations: tuple[Relation, ...] = Field(
        default=("xIntent", "xWant", "xEffect", "xReact", "oWant", "oEffect", "oReact"),
        min_length=1,
        description="what is asked; each is a modality of its own, comet_xintent and so on [those that COSMIC or SKAIG "
        "reads]",
    )
    template: str = Field(
        default="{text} {relation} [GEN]",
        description="the question, with {text} and {relation} once each [COMET-ATOMIC 2020]",
    )
    max_tokens: int = Field(
        default=512, ge=1, description="most sub-tokens of a question, whose text is cut, never the relation [ours]"
    )
    batch: int = Field(default=16, ge=1, description="questions that go through the model at once [ours]")

    @property
    def modalities(self) -> tuple[str, ...]:
        """Names of what is made, in the order of the relations."""
        return tuple(map(modality_of, self.relations))

    @field_validator("relations")
    @classmethod
    def _each_once(cls, relations: tuple[Relation, ...]) -> tuple[Relation, ...]:
        if len(set(relations)) < len(relations):
            raise ValueError("name each relation once")
        return relations

    @field_validator("template")
    @classmethod
    def _asks_both(cls, template: str) -> str:
        if not template.count("{text}") == template.count("{relation}") == 1:
            raise ValueError("write {text} and {relation} once each")
        return template


class CometExtractor:
    """A frozen COMET over transcripts; the vectors of all relations stand side by side."""

    def __init__(self, config: CometExtraction, device: str = "cpu") -> None:
        """Load model and tokenizer.

        Raises:
            UserError: they cannot be loaded, lack weights, are no COMET, or cannot take questions this long.
        """
        self._config, self._device = config, device
        tokenizer, model = load_pretrained(config.source)
        self._padding, self._start = _ends(config, tokenizer, model.config)
        self._questions = Questions(tokenizer, config.template, config.relations, config.max_tokens)
        self._model = model.to(device).eval()
        self._modality = Modality(
            width=len(config.relations) * model.config.hidden_size,
            extractor=f"{model.config.model_type} as COMET, first state, transformers {transformers.__version__}",
            parameters={
                "relations": " ".join(config.relations),
                "template": config.template,
                "max_tokens": config.max_tokens,
            },
            weights=tensors_sha256(model.state_dict()),
            hub=None if Path(config.source).exists() else config.source,
        )

    def described(self) -> Modality:
        """Model, settings, hash of the model's tensors; of all relations together, see ``by_relation``."""
        return self._modality

    @torch.inference_mode()
    def extract(self, dialogue: Sequence[RecordedUtterance]) -> Extracted:
        """Vectors of the transcripts; an utterance without one has none."""
        texts = [(utterance.text or "").strip() for utterance in dialogue]
        present = np.array([bool(text) for text in texts], bool)
        vectors = np.zeros((len(dialogue), self._modality.width), np.float32)
        if present.any():
            asked = [question for text in texts if text for question in self._questions.of(text)]
            vectors[present] = self._answers(asked).reshape(-1, self._modality.width)
        return Extracted(vectors, present, tuple("" if found else "no text" for found in present))

    def _answers(self, questions: Sequence[Sequence[int]]) -> np.ndarray:
        """States [Q, D]; questions of about one length go together, which need little padding."""
        ordered = sorted(range(len(questions)), key=lambda number: len(questions[number]))
        batches = [ordered[i : i + self._config.batch] for i in range(0, len(ordered), self._config.batch)]
        states = np.concatenate([self._states([questions[number] for number in batch]) for batch in batches])
        return states[np.argsort(ordered)]

    def _states(self, questions: Sequence[Sequence[int]]) -> np.ndarray:
        """First states [Q, D] of one batch, with lengths rounded up: few shapes keep the library's memory flat."""
        lengths = torch.tensor([len(question) for question in questions])
        length = min(-(-int(lengths.max()) // ROUND) * ROUND, self._config.max_tokens)
        ids = torch.tensor([[*question, *[self._padding] * (length - len(question))] for question in questions])
        mask = torch.arange(length) < lengths.unsqueeze(1)
        answered = self._model(
            input_ids=ids.to(self._device),
            attention_mask=mask.long().to(self._device),
            decoder_input_ids=torch.full((len(questions), 1), self._start, device=self._device),
            use_cache=False,
        )
        states: np.ndarray = answered.last_hidden_state[:, 0].cpu().numpy()
        return states


def modality_of(relation: str) -> str:
    """Name of the modality that answers it."""
    return f"comet_{relation.lower()}"


def by_relation(together: Modality) -> dict[str, Modality]:
    """The modalities that stand side by side in what a ``CometExtractor`` makes, in their order."""
    settings = dict(together.parameters)
    relations = str(settings.pop("relations")).split()
    width = together.width // len(relations)
    return {
        modality_of(relation): together.model_copy(
            update={"width": width, "parameters": {"relation": relation, **settings}}
        )
        for relation in relations
    }


def _ends(config: CometExtraction, tokenizer: Any, model: Any) -> tuple[int, int]:
    """Sub-tokens with which questions are filled up and answers begin; ``model`` is the model's configuration.

    Raises:
        UserError: there are none, or the model has no place for questions this long.
    """
    padding, start = tokenizer.pad_token_id, getattr(model, "decoder_start_token_id", None)
    if not model.is_encoder_decoder or padding is None or start is None:
        raise UserError(
            f"{config.source!r} is a {model.model_type} whose decoder has no first step or whose tokenizer has no "
            f"pad_token: take a COMET of the kind of BART or T5"
        )
    room = getattr(model, "max_position_embeddings", None)
    if room is not None and config.max_tokens > room:
        raise UserError(
            f"max_tokens = {config.max_tokens} is more than the {room} positions that {config.source!r} has"
        )
    return padding, start
