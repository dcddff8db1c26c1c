"""Pickles from strangers, read as data: nothing in them is ever run.

Python's own unpickler calls whatever a file names. Here a small machine of our own reads the opcodes; the things that
it builds are containers, numbers, strings and arrays, and there is nothing on its stack that could be called.
"""

from dferc.corpus.importers.unpickling.files import read_pickle
from dferc.corpus.importers.unpickling.values import Record

__all__ = ["Record", "read_pickle"]
