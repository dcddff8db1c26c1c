"""Sound and pictures out of any container that FFmpeg knows, a piece at a time.

Both generators give what is sound before they complain: a recording that is cut off or damaged yields its good part and
then raises ``MediaError``, so a caller may keep what came and note the sentence.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from dferc.corpus.recordings import Clip
from dferc.encoders.optional import optional

PREROLL = 0.25
"""Seconds decoded before a clip of sound begins, so that decoder and resampler have settled by then."""
TOLERANCE = 0.25
"""Seconds that a stream may end before its clip: encoders pad sound, and a last frame's length is often unknown."""

LOCAL = {"protocol_whitelist": "file"}
"""A playlist must not make the decoder call other machines."""

Kind = Literal["audio", "video"]
NOUNS: dict[Kind, str] = {"audio": "sound", "video": "picture"}


class MediaError(Exception):
    """What is wrong with a recording, in one sentence."""


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
    resampler = optional("av").AudioResampler(format="fltp", rate=rate)
    with _opened(clip, "audio") as stream:
        wanted = None if stream.stop is None else round((stream.stop - stream.start) * rate)
        place = None
        for time, frame in stream.decoded(PREROLL):
            if place is None:
                place = round((time - stream.start) * rate)  # of the next sample; negative in the preroll
            for block in _resampled(resampler, frame):
                yield block[max(0, -place) : None if wanted is None else max(0, wanted - place)]
                place += len(block)
        if place is not None:
            for block in _resampled(resampler, None):
                yield block[max(0, -place) : None if wanted is None else max(0, wanted - place)]
        stream.complain()


def decode_frames(clip: Clip, rate: float) -> Iterator[Frame]:
    """Pictures of a clip, upright, the speaker's half only: at each of ``rate`` instants a second the next one shown.

    No picture is given twice, so slow or uneven recordings give fewer.

    Raises:
        MediaError: there is no picture, or less than the clip promises; after the last picture that could be decoded.
    """
    with _opened(clip, "video") as stream:
        instant = -1
        for time, frame in stream.decoded():
            reached = int((time - stream.start) * rate + 1e-6)
            if reached > instant:
                instant = reached
                upright = np.rot90(frame.to_ndarray(format="rgb24"), frame.rotation // 90)
                yield Frame(time, np.ascontiguousarray(_half(upright, clip.region)))
        stream.complain()


class _Stream:
    """One stream of an open file, between the begin and the end of a clip."""

    def __init__(self, container: Any, stream: Any, clip: Clip, kind: Kind) -> None:
        self._container = container
        self._stream = stream
        self._noun = NOUNS[kind]
        self._origin = (container.start_time or 0) / optional("av").time_base
        self._length = None if container.duration is None else container.duration / optional("av").time_base
        self.start = max(0.0, clip.start or 0.0)
        self.stop = clip.stop
        self._damaged = 0
        self._end: float | None = None
        self._reached = False
        stream.thread_type = "NONE"  # one worker, one core
        stream.codec_context.thread_count = 1

    def decoded(self, preroll: float = 0.0) -> Iterator[tuple[float, Any]]:
        """Frames that touch the clip, or the ``preroll`` seconds before it, and when each begins."""
        begin = max(0.0, self.start - preroll)
        if begin > 0:
            self._seek(begin)
        for frame in self._frames():
            time = self._end or 0.0 if frame.time is None else frame.time - self._origin
            if self.stop is not None and time >= self.stop:
                self._reached = True
                return
            self._end = time + self._duration(frame)
            if self._end > begin:
                yield time, frame

    def complain(self) -> None:
        """Say what the clip promises and the stream did not hold.

        Raises:
            MediaError: there was nothing, it ends early, or parts of it are damaged.
        """
        if self._end is None or self._end <= self.start:
            raise MediaError(f"the {self._noun} has nothing from {self.start:.2f} s on")
        promised = self._length if self.stop is None else self.stop
        if promised is not None and not self._reached and self._end < promised - TOLERANCE:
            raise MediaError(f"the {self._noun} ends at {self._end:.2f} s instead of {promised:.2f} s")
        if self._damaged:
            raise MediaError(f"{self._damaged} packets of the {self._noun} are damaged")

    def _seek(self, time: float) -> None:
        """Go to the last key frame before a time; a container without an index is read from its begin."""
        offset = int((time + self._origin) / self._stream.time_base)
        try:
            self._container.seek(offset, stream=self._stream, backward=True)
        except optional("av").FFmpegError:
            self._container.seek(0)

    def _frames(self) -> Iterator[Any]:
        """Everything that can be decoded from here on."""
        for packet in self._container.demux(self._stream):
            try:
                yield from packet.decode()
            except optional("av").error.InvalidDataError:
                self._damaged += 1

    def _duration(self, frame: Any) -> float:
        """Seconds that a frame lasts."""
        if hasattr(frame, "samples"):
            return float(frame.samples / frame.sample_rate)
        if frame.duration:
            return float(frame.duration * frame.time_base)
        return float(1 / self._stream.average_rate) if self._stream.average_rate else 0.0


@contextmanager
def _opened(clip: Clip, kind: Kind) -> Iterator[_Stream]:
    """The stream that a clip needs; whatever FFmpeg says of the file becomes a ``MediaError``."""
    av = optional("av")
    path = Path(clip.path)
    if not path.is_file():  # else a name could be an address, or a pipe that never ends
        raise MediaError(f"there is no file {path.name}")
    if clip.stop is not None and clip.stop <= (clip.start or 0.0):
        raise MediaError(f"the clip lasts {clip.stop - (clip.start or 0.0):.2f} s")
    try:
        with av.open(str(path.resolve()), metadata_errors="replace", options=LOCAL) as container:
            yield _Stream(container, _first(container, kind, path), clip, kind)
    except (av.FFmpegError, ValueError) as error:  # ValueError: the format changes on the way
        reason = getattr(error, "strerror", None) or str(error)
        raise MediaError(f"{path.name} cannot be decoded: {reason}") from None


def _first(container: Any, kind: Kind, path: Path) -> Any:
    """The first stream of a kind; the cover of a sound file is no picture of its speaker."""
    cover = optional("av").stream.Disposition.attached_pic
    for stream in container.streams:
        if stream.type == kind and not stream.disposition & cover:
            if stream.codec_context is None:
                raise MediaError(f"{path.name} has its {NOUNS[kind]} in a coding that is not known here")
            return stream
    raise MediaError(f"{path.name} has no {NOUNS[kind]}")


def _resampled(resampler: Any, frame: Any) -> Iterator[np.ndarray]:
    """Blocks [n] of one channel, the mean of all: FFmpeg's own mixing would make two equal channels louder than one."""
    for block in resampler.resample(frame):
        yield block.to_ndarray().mean(0)


def _half(picture: np.ndarray, region: Literal["left", "right"] | None) -> np.ndarray:
    """The half of a picture [height, width, 3] in which the speaker is."""
    middle = picture.shape[1] // 2
    return {"left": picture[:, :middle], "right": picture[:, middle:], None: picture}[region]
