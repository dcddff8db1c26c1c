"""Conversations as data: the contract, the store, splits and batches."""

from dferc.corpus.batch import DialogueBatch, MarkedSequences, Sequences, TokenBlocks, Tokens, collate
from dferc.corpus.contract import SPLITS, CorpusCard, Modality, Split, corpus_schema, vector_array
from dferc.corpus.store import Corpus, Dialogue

__all__ = [
    "SPLITS",
    "Corpus",
    "CorpusCard",
    "Dialogue",
    "DialogueBatch",
    "MarkedSequences",
    "Modality",
    "Sequences",
    "Split",
    "TokenBlocks",
    "Tokens",
    "collate",
    "corpus_schema",
    "vector_array",
]
