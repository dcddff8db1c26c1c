"""Conversations as data: the contract, the store, splits and batches."""

from dferc.corpus.batch import DialogueBatch, TokenBlocks, collate
from dferc.corpus.contract import SPLITS, CorpusCard, Modality, Split, corpus_schema, vector_array
from dferc.corpus.store import Corpus, Dialogue

__all__ = [
    "SPLITS",
    "Corpus",
    "CorpusCard",
    "Dialogue",
    "DialogueBatch",
    "Modality",
    "Split",
    "TokenBlocks",
    "collate",
    "corpus_schema",
    "vector_array",
]
