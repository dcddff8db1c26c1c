"""Recordings that tests make themselves, and conversations that point into them."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from dferc.corpus.recordings import Clip, RecordedUtterance

CODECS = {".mp4": ("mpeg4", "aac"), ".ts": ("mpeg2video", "mp2"), ".mpg": ("mpeg2video", "mp2")}
"""Of pictures and of sound."""


def write_media(
    path: Path,
    pictures: Sequence[np.ndarray] = (),
    sound: np.ndarray | None = None,
    fps: int = 10,
    rate: int = 16_000,
    times: Sequence[float] | None = None,
    rotation: int = 0,
) -> str:
    """A file of pictures [height, width, 3] and of sound [n]; lossless in .mkv, .avi and .wav, lossy in others.

    Those of MPEG have no index and one key frame.
    """
    seen, heard = CODECS.get(path.suffix, ("ffv1", "pcm_s16le"))
    with av.open(str(path), "w") as container:
        if len(pictures):
            video = container.add_stream(seen, rate=fps)
            video.height, video.width = pictures[0].shape[:2]
            video.pix_fmt = "bgr0" if seen == "ffv1" else "yuv420p"
            if seen == "mpeg2video":
                video.codec_context.gop_size = len(pictures)
            else:
                video.time_base = video.codec_context.time_base = Fraction(1, 1000)
            if rotation:
                video.set_display_rotation(rotation)
        if sound is not None:
            audio = container.add_stream(heard, rate=rate, layout="mono")
        for number, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame.time_base = Fraction(1, 1000)
            frame.pts = round(1000 * (number / fps if times is None else times[number]))
            container.mux(video.encode(frame))
        if sound is not None:
            whole = (np.clip(sound, -1, 1) * 32767).astype(np.int16)
            for start in range(0, len(whole), 1024):
                block = av.AudioFrame.from_ndarray(whole[None, start : start + 1024], format="s16", layout="mono")
                block.sample_rate, block.pts, block.time_base = rate, start, Fraction(1, rate)
                container.mux(audio.encode(block))
            container.mux(audio.encode(None))
        if len(pictures):
            container.mux(video.encode(None))
    return str(path)


@pytest.fixture(scope="session")
def make_media() -> Callable[..., str]:
    """Writes a recording and gives its path."""
    return write_media


def vowel(seconds: float, rate: int = 16_000, pitch: float = 120.0) -> np.ndarray:
    """Something like a held vowel: a wavering pulse train through three resonances, with a little breath."""
    time = np.arange(round(seconds * rate)) / rate
    phase = 2 * np.pi * np.cumsum(pitch * (1 + 0.03 * np.sin(2 * np.pi * 4 * time))) / rate
    sound = np.zeros_like(time)
    for harmonic in range(1, int(0.45 * rate / pitch)):
        heard = sum(1 / (1 + ((harmonic * pitch - formant) / 90) ** 2) for formant in (700, 1200, 2600))
        sound += (heard + 1 / harmonic) * np.sin(harmonic * phase)
    sound += 0.01 * np.random.default_rng(0).normal(size=len(time))
    return 0.5 * sound * (0.6 + 0.4 * np.sin(2 * np.pi * 1.5 * time)) / np.abs(sound).max()


@pytest.fixture(scope="session")
def speech() -> Callable[..., np.ndarray]:
    """Sound [n] with a pitch and formants."""
    return vowel


@pytest.fixture(scope="session")
def conversation() -> Callable[..., list[RecordedUtterance]]:
    """A dialogue of given clips or transcripts."""

    def make(clips: Sequence[Clip | None] = (), texts: Sequence[str | None] = ()) -> list[RecordedUtterance]:
        turns = [(clip, None) for clip in clips] + [(None, text) for text in texts]
        return [
            RecordedUtterance("d", turn, "s", "train", None, text, audio=clip, video=clip)
            for turn, (clip, text) in enumerate(turns)
        ]

    return make
