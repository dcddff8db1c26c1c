"""From recordings to a corpus: dialogues stream through Ray workers, and what is finished stays so."""

from dferc_platform.extract.corpus import extract_corpus
from dferc_platform.extract.job import ExtractionJob, Progress, Stage

__all__ = ["ExtractionJob", "Progress", "Stage", "extract_corpus"]
