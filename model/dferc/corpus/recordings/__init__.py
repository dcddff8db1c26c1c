"""Recordings of conversations: the layouts in which they are published, read into one form."""

from dferc.corpus.recordings.contract import Clip, RecordedUtterance, Recordings
from dferc.corpus.recordings.emorynlp import read_emorynlp
from dferc.corpus.recordings.iemocap import read_iemocap
from dferc.corpus.recordings.meld import read_meld
from dferc.corpus.recordings.mosi import read_mosi
from dferc.corpus.recordings.own import read_own
from dferc.corpus.recordings.reading import LAYOUTS, read_recordings

__all__ = [
    "LAYOUTS",
    "Clip",
    "RecordedUtterance",
    "Recordings",
    "read_emorynlp",
    "read_iemocap",
    "read_meld",
    "read_mosi",
    "read_own",
    "read_recordings",
]
