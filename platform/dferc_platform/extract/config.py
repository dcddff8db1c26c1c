"""What is extracted from recordings, and how: one section a modality; a modality without a section is left out."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dferc.corpus.contract import CorpusCard, Modality
from dferc.encoders.audio import AudioExtraction
from dferc.encoders.extractor import Extractor
from dferc.encoders.utterance_text import TextExtraction
from dferc.encoders.video import VideoExtraction
from dferc.errors import UserError
from dferc_platform.extract.job import Stage

SECTIONS: Mapping[str, type[BaseModel]] = {
    "text": TextExtraction,
    "audio": AudioExtraction,
    "visual": VideoExtraction,
}
"""Modality to the settings of its extractor, in the order in which they are extracted."""


class ExtractionConfig(BaseModel):
    """Settings of an extraction."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: TextExtraction | None = Field(default=None, description="transformer over the transcripts")
    audio: AudioExtraction | None = Field(default=None, description="openSMILE over the sound")
    visual: VideoExtraction | None = Field(default=None, description="DenseNet over the faces")
    standardise: tuple[str, ...] = Field(
        default=("audio",),
        description="modalities brought to mean 0, deviation 1 by train, in float64",
    )
    clip: float = Field(default=10.0, gt=0, description="largest magnitude kept of standardised numbers, in deviations")

    def stages(self) -> tuple[Stage, ...]:
        """What is to be extracted, with what."""
        chosen = {name: getattr(self, name) for name in SECTIONS}
        return tuple(
            Stage(name, partial(_build, section), neural=name != "audio")
            for name, section in chosen.items()
            if section is not None
        )


def _build(section: BaseModel, device: str) -> Extractor:
    """The extractor with these settings; its libraries are imported only here, in a worker."""
    if isinstance(section, TextExtraction):
        from dferc.encoders.utterance_text import TextExtractor

        return TextExtractor(section, device)
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
    content = {} if path is None else _read(path)
    for name, settings in chosen.items():
        content[name] = None if settings is None else {**(content.get(name) or {}), **settings}
    try:
        return ExtractionConfig.model_validate(content)
    except ValidationError as error:
        where = "the settings of the extraction" if path is None else str(path)
        raise UserError.collected(
            where, (f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        ) from None


def as_in(card: CorpusCard, places: Mapping[str, str | None]) -> ExtractionConfig:
    """The settings with which a corpus was extracted.

    Args:
        card: of that corpus.
        places: where the text encoder and the visual weights lie here; a card knows them by their hash only. The text
            encoder goes by its own name where no place is given.

    Raises:
        UserError: it was not extracted here, or a place is missing.
    """
    problems, sections = [], {}
    for name, modality in card.modalities.items():
        kind = SECTIONS.get(name)
        where = _place(name, modality, places.get(name))
        if kind is None or not modality.parameters:
            problems.append(f"{name} was not made by `dferc data extract`, but by {modality.extractor}")
        elif where is None:
            problems.append(f"{name} needs --visual with the weights whose SHA-256 is {modality.weights}")
        else:
            known = {field: value for field, value in modality.parameters.items() if field in kind.model_fields}
            sections[name] = kind.model_validate(known | where)
    if problems:
        raise UserError.collected(f"corpus {card.name} cannot be followed", problems)
    return ExtractionConfig.model_validate(sections)


def _place(name: str, modality: Modality, given: str | None) -> dict[str, str] | None:
    if name == "text":
        return {"source": given or modality.extractor.split(",")[0]}
    if name == "visual":
        return {"weights": given} if given else None
    return {}


def _read(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"{path} cannot be read as YAML: {str(error).splitlines()[0]}") from None
    if not isinstance(content, dict):
        raise UserError(f"{path} must map text, audio and visual to their settings")
    return content
