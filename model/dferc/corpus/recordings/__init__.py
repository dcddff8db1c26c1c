"""Recordings of conversations: the layouts in which they are published, read into one form."""

from dferc.corpus.recordings.contract import Clip, RecordedUtterance, Recordings

__all__ = ["Clip", "RecordedUtterance", "Recordings"]
