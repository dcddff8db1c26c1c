"""Sound and pictures of a clip, a piece at a time.

Both generators give what is sound before they complain: a recording that is cut off or damaged yields its good part and
then raises ``MediaError``, so a caller may keep what came and note the sentence.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, groupby
from typing import Any, Literal

import numpy as np

from dferc.corpus.recordings import Clip
from dferc.encoders.optional import optional
from dferc.encoders.stream import MediaError, Stream, opened

__all__ = ["Frame", "MediaError", "decode_audio", "decode_frames"]

VERSION = 1
"""Of what a file is decoded to; raised whenever the same file gives other samples or pictures."""
PREROLL = 0.25
"""Seconds decoded before a clip of sound begins, so that decoder and resampler have settled by then."""
ROUNDING = 1e-6
"""Seconds by which times that are meant to be equal may differ."""


@dataclass(frozen=True)
class Frame:
    """A picture and when it is shown."""

    time: float
    """Seconds from the file's begin."""
    rgb: np.ndarray
    """[height, width, 3] uint8."""


def decode_audio(clip: Clip, rate: int = 16_000) -> Iterator[np.ndarray]:
    """Sound of a clip in blocks [n] of float32 between -1 and 1, one channel, ``rate`` samples a second.

    Raises:
        MediaError: there is no sound, or less than the clip promises; after the last block that could be decoded.
    """
    with opened(clip, "audio") as stream:
        wanted = None if stream.stop is None else round((stream.stop - stream.start) * rate)
        for place, block in _resampled(stream, rate):
            yield block[max(0, -place) : None if wanted is None else max(0, wanted - place)]
        stream.complain()


def decode_frames(clip: Clip, rate: float) -> Iterator[Frame]:
    """Pictures of a clip, upright, the speaker's half only: at each of ``rate`` instants a second the next one shown.

    The first is the one that is already shown when the clip begins. No picture is given twice, so slow or uneven
    recordings give fewer.

    Raises:
        MediaError: there is no picture, or less than the clip promises; after the last picture that could be decoded.
    """
    with opened(clip, "video") as stream:
        instant = -1
        for time, frame in _shown(stream):
            reached = max(0, int((time - stream.start + ROUNDING) * rate))
            if reached > instant:
                instant = reached
                upright = np.rot90(frame.to_ndarray(format="rgb24"), frame.rotation // 90)
                yield Frame(time, np.ascontiguousarray(_half(upright, clip.region)))
        stream.complain()


def _resampled(stream: Stream, rate: int) -> Iterator[tuple[int, np.ndarray]]:
    """Blocks [n] of one channel, each with the place of its first sample in the clip, negative in the preroll.

    Channels are averaged here: FFmpeg's own mixing would make two equal channels louder than one.
    """
    heard = ((time, frame) for time, frame in stream.decoded(PREROLL) if stream.end > stream.start - PREROLL)
    for _, alike in groupby(heard, key=_form):
        resampler = optional("av").AudioResampler(format="fltp", rate=rate)
        time, first = next(alike)
        place = round((time - stream.start) * rate)
        for frame in chain([first], (frame for _, frame in alike), [None]):  # None: what the resampler still holds
            for block in resampler.resample(frame):
                mono = block.to_ndarray().mean(0)
                yield place, mono
                place += len(mono)


def _form(timed: tuple[float, Any]) -> tuple[str, str, int]:
    """What a resampler must know of a frame; broadcasts change it on the way."""
    frame = timed[1]
    return frame.format.name, frame.layout.name, frame.sample_rate


def _shown(stream: Stream) -> Iterator[tuple[float, Any]]:
    """The picture that is shown when the clip begins, then all later ones, each with its time."""
    waiting = None
    for time, frame in stream.decoded():
        if time <= stream.start + ROUNDING:
            waiting = time, frame
            continue
        if waiting:
            yield waiting
            waiting = None
        yield time, frame
    if waiting and stream.end > stream.start:
        yield waiting


def _half(picture: np.ndarray, region: Literal["left", "right"] | None) -> np.ndarray:
    """The half of a picture [height, width, 3] in which the speaker is."""
    middle = picture.shape[1] // 2
    return {"left": picture[:, :middle], "right": picture[:, middle:], None: picture}[region]
