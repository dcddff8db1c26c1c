"""Faces as DenseNet features: the mean over the faces of an utterance, one vector an utterance."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from dferc.corpus.contract import Modality
from dferc.corpus.recordings import RecordedUtterance
from dferc.encoders.densenet import FACE, RANDOM_SEED, WIDTH, random_densenet, trained_densenet
from dferc.encoders.extractor import Extracted
from dferc.encoders.faces import FaceFinder
from dferc.encoders.media import VERSION, MediaError, decode_frames
from dferc.encoders.optional import optional

RANDOM = "random"


class VideoExtraction(BaseModel):
    """How faces become vectors. MEmoBERT: the code of github.com/AIM3-RUC/MEmoBert, by the makers of MMGCN."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    weights: str = Field(
        description="safetensors file of a DenseNet-BC-100-12 that was trained on faces, for instance FER+; "
        "`random` is an untrained network, for tests"
    )
    frames_per_second: float = Field(default=10.0, gt=0, description="pictures looked at [MEmoBERT: 10]")
    face_mean: float = Field(
        default=131.0754,
        description="gray level taken from a face's pixels [MEmoBERT: IEMOCAP 131.0754, MELD 67.61417]",
    )
    face_deviation: float = Field(
        default=47.858177, gt=0, description="what they are divided by [MEmoBERT: IEMOCAP 47.858177, MELD 37.89171]"
    )
    smallest_face: float = Field(
        default=0.1,
        gt=0,
        le=1,
        description="side of the smallest face, of the picture's shorter side [ours: 48 of 480]",
    )
    neighbours: int = Field(default=3, ge=1, description="overlapping hits that make a face [OpenCV: 3]")
    margin: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="cut out around a face, of its side [FER2013, hence FER+: OpenCV's own box]",
    )
    batch: int = Field(
        default=32, ge=1, description="faces that go through the network at once [ours: more is no faster on a core]"
    )


@dataclass
class _Watched:
    """What was seen of an utterance so far."""

    pictures: int = 0
    faces: int = 0
    problem: str = ""


class VideoExtractor:
    """A face finder and a DenseNet."""

    def __init__(self, config: VideoExtraction, device: str = "cpu") -> None:
        """Load both.

        Raises:
            UserError: the optional libraries are not installed, or the weights are not those of this network.
        """
        decoder = optional("av")
        self._config, self._device = config, device
        self._untrained = config.weights == RANDOM
        network, weights = (random_densenet(), None) if self._untrained else trained_densenet(Path(config.weights))
        self._network = network.to(device)
        self._finder = FaceFinder(config.smallest_face, config.neighbours, config.margin, FACE)
        self._modality = Modality(
            width=WIDTH,
            extractor="DenseNet-BC-100-12" + (f", untrained (seed {RANDOM_SEED})" if self._untrained else ""),
            parameters={
                **config.model_dump(exclude={"weights", "batch"}),
                "decoder": f"av {decoder.__version__}, {VERSION}",
                "detector": self._finder.version,
                "detector_sha256": self._finder.sha256,
            },
            weights=weights,
        )

    def described(self) -> Modality:
        """Network, face finder, settings, hash of the weights' file."""
        return self._modality

    @torch.inference_mode()
    def extract(self, dialogue: Sequence[RecordedUtterance]) -> Extracted:
        """Mean of the vectors of each utterance's faces; a picture without a face counts for nothing."""
        sums = torch.zeros(len(dialogue), WIDTH, dtype=torch.float64)
        watched = [_Watched() for _ in dialogue]
        faces = self._faces(dialogue, watched)
        while batch := list(islice(faces, self._config.batch)):
            rows, images = zip(*batch, strict=True)
            sums.index_add_(0, torch.tensor(rows), self._vectors(np.stack(images)))
        counts = np.array([seen.faces for seen in watched])
        vectors = sums.numpy() / np.maximum(counts, 1)[:, None]
        return Extracted(vectors.astype(np.float32), counts > 0, tuple(map(self._note, watched)))

    def _faces(
        self, dialogue: Iterable[RecordedUtterance], watched: Sequence[_Watched]
    ) -> Iterator[tuple[int, np.ndarray]]:
        """Row of an utterance and one of its faces [64, 64], over the whole dialogue."""
        for row, (utterance, seen) in enumerate(zip(dialogue, watched, strict=True)):
            if utterance.video is None:
                seen.problem = "no recording"
                continue
            try:
                for frame in decode_frames(utterance.video, self._config.frames_per_second):
                    seen.pictures += 1
                    face = self._finder.face(frame.rgb)
                    if face is not None:
                        seen.faces += 1
                        yield row, face
            except MediaError as problem:
                seen.problem = str(problem)

    def _vectors(self, faces: np.ndarray) -> Tensor:
        """Faces [n, 64, 64] to vectors [n, 342] of float64 on the CPU."""
        # Every new number of faces makes the library keep new buffers: few numbers, rounded up, keep memory flat.
        rounded = np.zeros((1 << (len(faces) - 1).bit_length(), *faces.shape[1:]), faces.dtype)
        rounded[: len(faces)] = faces
        pixels = torch.from_numpy(rounded).to(self._device, torch.float32).unsqueeze(1)
        standardised = (pixels - self._config.face_mean) / self._config.face_deviation
        vectors: Tensor = self._network(standardised)
        return vectors[: len(faces)].cpu().double()

    def _note(self, seen: _Watched) -> str:
        notes = [seen.problem] if seen.problem else []
        if seen.pictures and seen.faces < seen.pictures:
            found = f"face in {seen.faces}" if seen.faces else "no face in any"
            notes.insert(0, f"{found} of {seen.pictures} pictures")
        if seen.faces and self._untrained:
            notes.append("untrained network")
        return "; ".join(notes)
