"""One stream of a media file, from before the begin of a clip to its end, in any container that FFmpeg knows."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any, Literal

from dferc.corpus.recordings import Clip
from dferc.encoders.optional import optional

TOLERANCE = 0.25
"""Seconds that a stream may end before its clip: encoders pad sound, and a last frame's length is often unknown."""

LOCAL = {"protocol_whitelist": "file"}
"""A playlist must not make the decoder call other machines."""

Kind = Literal["audio", "video"]
NOUNS: dict[Kind, str] = {"audio": "sound", "video": "picture"}


class MediaError(Exception):
    """What is wrong with a recording, in one sentence."""


class Stream:
    """One stream of an open file, between the begin and the end of a clip."""

    def __init__(self, container: Any, stream: Any, clip: Clip, kind: Kind) -> None:
        self._container = container
        self._stream = stream
        self._kind = kind
        self._origin = (container.start_time or 0) / optional("av").time_base
        self._length = None if container.duration is None else container.duration / optional("av").time_base
        self.start = max(0.0, clip.start or 0.0)
        self.stop = clip.stop
        self.end = 0.0
        """Seconds from the file's begin at which what was decoded so far ends."""
        self._damaged = 0
        self._reached = False
        stream.thread_type = "NONE"  # one worker, one core
        stream.codec_context.thread_count = 1

    def decoded(self, preroll: float = 0.0) -> Iterator[tuple[float, Any]]:
        """Frames up to the clip's end, each with the time at which it begins.

        The first begins ``preroll`` seconds before the clip, or before that where the container can be entered at some
        places only.
        """
        for time, frame in self._from(max(0.0, self.start - preroll)):
            if self.stop is not None and time >= self.stop:
                self._reached = True
                if self._kind == "video":
                    self.end = time  # a picture is shown until the next one, whatever its duration says
                return
            self.end = time + self._duration(frame)
            yield time, frame

    def complain(self) -> None:
        """Say what the clip promises and the stream did not hold.

        Raises:
            MediaError: there was nothing, it ends early, or parts of it are damaged.
        """
        noun = NOUNS[self._kind]
        if self.end <= self.start:
            raise MediaError(f"the {noun} has nothing from {self.start:.2f} s on")
        promised = self._length if self.stop is None else self.stop
        if promised is not None and not self._reached and self.end < promised - TOLERANCE:
            raise MediaError(f"the {noun} ends at {self.end:.2f} s instead of {promised:.2f} s")
        if self._damaged:
            raise MediaError(f"{self._damaged} packets of the {noun} are damaged")

    def _from(self, begin: float) -> Iterator[tuple[float, Any]]:
        """Frames from one on that begins no later.

        MPEG streams have no index: they are entered anywhere, and give nothing before their next key frame. They are
        entered again further back, until a frame comes that is early enough.
        """
        back, found = 0.0, self._timed()
        if begin == 0:
            yield from found
            return
        while True:
            entry = max(0.0, begin - back)
            self._seek(entry)
            found = self._timed()
            first = next(found, None)
            if entry == 0 or (first is not None and first[0] <= begin):
                break
            back = 2 * back + 1
        yield from chain([] if first is None else [first], found)

    def _seek(self, time: float) -> None:
        """Go to the last key frame before a time; a container without an index is read from its begin."""
        offset = int((time + self._origin) / self._stream.time_base)
        try:
            self._container.seek(offset, stream=self._stream, backward=True)
        except optional("av").FFmpegError:
            self._container.seek(0)

    def _timed(self) -> Iterator[tuple[float, Any]]:
        """Everything that can be decoded from here on; what says no time follows what came before it."""
        for frame in self._frames():
            yield (self.end if frame.time is None else frame.time - self._origin), frame

    def _frames(self) -> Iterator[Any]:
        for packet in self._container.demux(self._stream):
            try:
                yield from packet.decode()
            except optional("av").error.InvalidDataError:
                self._damaged += self._in_clip(packet)

    def _in_clip(self, packet: Any) -> bool:
        """Whether a packet is not from before the clip, where a stream that is entered anywhere begins with a piece."""
        return packet.pts is None or float(packet.pts * packet.time_base) - self._origin >= self.start

    def _duration(self, frame: Any) -> float:
        """Seconds that a frame lasts."""
        if hasattr(frame, "samples"):
            return float(frame.samples / frame.sample_rate)
        if frame.duration:
            return float(frame.duration * frame.time_base)
        return float(1 / self._stream.average_rate) if self._stream.average_rate else 0.0


@contextmanager
def opened(clip: Clip, kind: Kind) -> Iterator[Stream]:
    """The stream that a clip needs.

    Raises:
        MediaError: whatever FFmpeg says of the file, here or inside the block.
    """
    av = optional("av")
    path = Path(clip.path)
    if not path.is_file():  # else a name could be an address, or a pipe that never ends
        raise MediaError(f"there is no file {path.name!r}")
    if clip.stop is not None and clip.stop <= (clip.start or 0.0):
        raise MediaError(f"the clip lasts {clip.stop - (clip.start or 0.0):.2f} s")
    try:
        with av.open(str(path.resolve()), metadata_errors="replace", options=LOCAL) as container:
            yield Stream(container, _first(container, kind, path), clip, kind)
    except (av.FFmpegError, ValueError) as error:  # ValueError: a form that cannot be converted
        reason = getattr(error, "strerror", None) or str(error)
        raise MediaError(f"{path.name!r} cannot be decoded: {reason}") from None


def _first(container: Any, kind: Kind, path: Path) -> Any:
    """The first stream of a kind; the cover of a sound file is no picture of its speaker."""
    cover = optional("av").stream.Disposition.attached_pic
    for stream in container.streams:
        if stream.type == kind and not stream.disposition & cover:
            if stream.codec_context is None:
                raise MediaError(f"{path.name!r} has its {NOUNS[kind]} in a coding that is not known here")
            return stream
    raise MediaError(f"{path.name!r} has no {NOUNS[kind]}")
