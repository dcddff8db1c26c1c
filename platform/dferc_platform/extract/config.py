"""What is extracted from recordings, and how: one section a modality; a modality without a section is left out."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dferc.corpus.contract import CorpusCard, Modality
from dferc.encoders.audio import AudioExtraction
from dferc.encoders.comet import CometExtraction, by_relation
from dferc.encoders.extractor import Extractor
from dferc.encoders.utterance_text import TextExtraction
from dferc.encoders.video import VideoExtraction
from dferc.errors import UserError, setting_problems
from dferc_platform.config import read_yaml
from dferc_platform.extract.job import Stage

SECTIONS: Mapping[str, type[BaseModel]] = {
    "text": TextExtraction,
    "comet": CometExtraction,
    "audio": AudioExtraction,
    "visual": VideoExtraction,
}
"""Modality, or family of modalities, to the settings of its extractor, in the order in which they are extracted."""


class ExtractionConfig(BaseModel):
    """Settings of an extraction."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: TextExtraction | None = Field(default=None, description="transformer over the transcripts")
    comet: CometExtraction | None = Field(default=None, description="COMET over the transcripts, a modality a relation")
    audio: AudioExtraction | None = Field(default=None, description="openSMILE over the sound")
    visual: VideoExtraction | None = Field(default=None, description="DenseNet over the faces")
    standardise: tuple[Literal["text", "comet", "audio", "visual"], ...] = Field(
        default=("audio",),
        description="modalities brought to mean 0, deviation 1 by train, in float64",
    )
    clip: float = Field(default=10.0, gt=0, description="largest magnitude kept of standardised numbers, in deviations")

    def modalities(self) -> tuple[str, ...]:
        """Names of what is made."""
        comet = () if self.comet is None else self.comet.modalities
        return (*(name for name in SECTIONS if name != "comet" and getattr(self, name) is not None), *comet)

    def stages(self) -> tuple[Stage, ...]:
        """What is to be extracted, with what."""
        chosen = {name: getattr(self, name) for name in SECTIONS}
        return tuple(
            Stage(
                name,
                partial(_build, section),
                neural=name != "audio",
                apart=by_relation if name == "comet" else None,
            )
            for name, section in chosen.items()
            if section is not None
        )


def _build(section: BaseModel, device: str) -> Extractor:
    """The extractor with these settings; its libraries are imported only here, in a worker."""
    if isinstance(section, TextExtraction):
        from dferc.encoders.utterance_text import TextExtractor

        return TextExtractor(section, device)
    if isinstance(section, CometExtraction):
        from dferc.encoders.comet import CometExtractor

        return CometExtractor(section, device)
    if isinstance(section, AudioExtraction):
        from dferc.encoders.audio import AudioExtractor

        return AudioExtractor(section, device)
    from dferc.encoders.video import VideoExtractor

    return VideoExtractor(VideoExtraction.model_validate(section.model_dump()), device)


def read_extraction(path: Path | None, chosen: Mapping[str, Mapping[str, Any] | None]) -> ExtractionConfig:
    """The settings in a YAML file, with the sections of the command line laid over them.

    Args:
        path: file of settings; None for none.
        chosen: modality to settings that outrank the file's; None leaves the modality out.

    Raises:
        UserError: unknown settings or bad values; all of them.
    """
    content: dict[str, Any] = {} if path is None else read_yaml(path)
    for name, settings in chosen.items():
        content[name] = None if settings is None else {**(content.get(name) or {}), **settings}
    try:
        return ExtractionConfig.model_validate(content)
    except ValidationError as error:
        where = "the settings of the extraction" if path is None else str(path)
        raise UserError.collected(where, setting_problems(error, ExtractionConfig.model_fields)) from None


def as_in(card: CorpusCard, places: Mapping[str, str | None]) -> ExtractionConfig:
    """The settings with which a corpus was extracted.

    Args:
        card: of that corpus.
        places: where the text encoder and the visual weights lie here; a card knows them by their hash only. A text
            encoder that came from the hub goes by its name there, where no place is given.

    Raises:
        UserError: it was not extracted here, or a place is missing.
    """
    problems: list[str] = []
    sections: dict[str, dict[str, Any]] = {}
    for name, modality in card.modalities.items():
        section = "comet" if "relation" in modality.parameters else name
        place = places.get(section) or modality.hub
        if section not in SECTIONS or not modality.parameters:
            problems.append(f"{name} was not made by `dferc data extract`, but by {modality.extractor}")
        elif section in PLACES and not place:
            problems.append(f"{name} needs --{section} with {_wanted(modality)}")
        else:
            asked = sections.get(section, {}).get("relations", ())
            sections[section] = _settings(section, modality, place, asked)
    if problems:
        raise UserError.collected(f"corpus {card.name} cannot be followed", problems)
    return ExtractionConfig.model_validate(sections)


PLACES = {"text": "source", "comet": "source", "visual": "weights"}
"""Section to the setting that says where its weights lie."""


def _wanted(modality: Modality) -> str:
    return f"the weights whose SHA-256 is {modality.weights}" if modality.weights else "`random`, an untrained network"


def _settings(section: str, modality: Modality, place: str | None, asked: tuple[str, ...]) -> dict[str, Any]:
    """Those with which a modality was made; ``asked`` are the relations of the same COMET that came before it."""
    kind = SECTIONS[section]
    known = {field: value for field, value in modality.parameters.items() if field in kind.model_fields}
    if section in PLACES:
        known[PLACES[section]] = place
    return {**known, "relations": (*asked, modality.parameters["relation"])} if section == "comet" else known
