"""Speech as openSMILE functionals: one vector an utterance.

openSMILE's own licence allows private, research and educational use only, no commercial product.
"""

import warnings
from collections.abc import Sequence
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from dferc.corpus.contract import Modality
from dferc.corpus.recordings import Clip, RecordedUtterance
from dferc.encoders.extractor import Extracted
from dferc.encoders.media import VERSION, MediaError, decode_audio
from dferc.encoders.optional import optional

SILENCE = 2.0**-15
"""Peak below which there is nothing to hear: one step of 16-bit sound."""


class AudioExtraction(BaseModel):
    """How speech becomes vectors. openSMILE: research and education only, no commercial use."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    feature_set: Literal["IS10", "IS09", "ComParE_2016", "eGeMAPSv02"] = Field(
        default="IS10",
        description="openSMILE functionals: IS10 has 1582 numbers [as in the paper], IS09 384, ComParE_2016 6373, "
        "eGeMAPSv02 88; licensed for research and education only",
    )
    sample_rate: int = Field(
        default=16_000, ge=8_000, description="samples a second that sound is brought to [IEMOCAP's own: 16000]"
    )


class AudioExtractor:
    """openSMILE over whole utterances."""

    def __init__(self, config: AudioExtraction, device: str = "cpu") -> None:
        """Prepare openSMILE, which runs on the CPU whatever the device.

        Raises:
            UserError: the optional libraries are not installed.
        """
        opensmile, decoder = optional("opensmile"), optional("av")
        self._rate = config.sample_rate
        self._smile = opensmile.Smile(
            feature_set=opensmile.FeatureSet[config.feature_set],
            feature_level=opensmile.FeatureLevel.Functionals,
        )
        self._modality = Modality(
            width=self._smile.num_features,
            extractor=f"opensmile {opensmile.__version__} {config.feature_set} functionals",
            parameters={**config.model_dump(), "decoder": f"av {decoder.__version__}, {VERSION}"},
        )

    def described(self) -> Modality:
        """Feature set and versions; there are no weights."""
        return self._modality

    def extract(self, dialogue: Sequence[RecordedUtterance]) -> Extracted:
        """Functionals of each utterance's sound."""
        vectors = np.zeros((len(dialogue), self._modality.width), np.float32)
        present = np.zeros(len(dialogue), bool)
        notes = []
        for row, utterance in enumerate(dialogue):
            vector, note = self._utterance(utterance.audio)
            notes.append(note)
            if vector is not None:
                vectors[row], present[row] = vector, True
        return Extracted(vectors, present, tuple(notes))

    def _utterance(self, clip: Clip | None) -> tuple[np.ndarray | None, str]:
        """Vector [D], or None where nothing can be said, and what was met."""
        if clip is None:
            return None, "no recording"
        samples, problem = _samples(clip, self._rate)
        if not len(samples):
            return None, problem or "no sound"
        if np.abs(samples).max() < SILENCE:
            return None, _joined("silent", problem)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Segment too short")  # said in the note
            vector = np.asarray(self._smile(samples, self._rate), np.float32).reshape(-1)
        finite = np.isfinite(vector)
        if not finite.any():
            milliseconds = 1000 * len(samples) / self._rate
            return None, _joined(f"clip of {milliseconds:.0f} ms is too short for openSMILE", problem)
        lost = int((~finite).sum())
        note = f"{lost} of {len(vector)} numbers were not finite and are 0" if lost else ""
        return np.where(finite, vector, np.float32(0)), _joined(note, problem)


def _samples(clip: Clip, rate: int) -> tuple[np.ndarray, str]:
    """Sound [n] that could be decoded, and what stood in the way of the rest."""
    blocks = [np.zeros(0, np.float32)]
    problem = ""
    try:
        for block in decode_audio(clip, rate):
            blocks.append(block)  # what came before a problem is kept
    except MediaError as met:
        problem = str(met)
    return np.concatenate(blocks), problem


def _joined(*notes: str) -> str:
    return "; ".join(note for note in notes if note)
