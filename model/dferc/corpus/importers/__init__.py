"""Real corpora, from the files in which they are published to the contract."""

from dferc.corpus.importers.feature_files import import_feature_files
from dferc.corpus.importers.meld import import_meld
from dferc.corpus.importers.mosi import import_mosi

__all__ = ["import_feature_files", "import_meld", "import_mosi"]
