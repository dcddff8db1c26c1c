"""Vectors added to a corpus that is there already: its utterances, splits and columns stay as they are."""

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa

from dferc.corpus.contract import CARD_KEY, CorpusCard
from dferc.corpus.parquet import write_tables
from dferc.corpus.recordings import RecordedUtterance, Recordings
from dferc.corpus.store import Corpus, atomic
from dferc.corpus.tables import sha256
from dferc.encoders.assembly import Made, described, grouped, vector_columns
from dferc.errors import UserError


def recorded(corpus: Corpus) -> Recordings:
    """The utterances of a corpus as recordings of which only the transcripts are known.

    Raises:
        UserError: it has no transcripts.
    """
    if not any(corpus.texts):
        raise UserError(f"corpus {corpus.card.name} has no transcripts, from which vectors could be made")
    rows = corpus.table.select(["dialogue", "turn", "speaker", "split", "text"]).to_pylist()
    utterances = tuple(RecordedUtterance(**row, label=None) for row in rows)
    return Recordings(corpus.card.model_copy(update={"modalities": {}}), utterances)


def add_vectors(corpus: Corpus, made: Mapping[str, Made], source: Path, path: Path) -> CorpusCard:
    """Write a corpus with further modalities; the file appears whole or not at all.

    Args:
        corpus: what is there.
        made: name of each new modality to its vectors.
        source: file of the corpus, which the new card names with its hash.
        path: file of the new corpus.

    Raises:
        UserError: the file cannot be written.
    """
    dialogues = recorded(corpus).dialogues()
    modalities = corpus.card.modalities | described(made, list(dialogues.values()))
    files = corpus.card.files | {source.name: sha256(source)}
    card = corpus.card.model_copy(update={"modalities": modalities, "files": files})

    def widened(start: int, stop: int, dialogue: list[RecordedUtterance]) -> pa.Table:
        table = corpus.table.slice(start, stop - start).replace_schema_metadata({CARD_KEY: card.as_json()})
        for name, column in vector_columns({name: m.load(dialogue) for name, m in made.items()}, card).items():
            table = table.append_column(name, column)
        return table

    try:
        with atomic(path) as temporary:
            tables = (widened(d.start, d.stop, dialogues[d.id]) for d in corpus.dialogues)
            write_tables(grouped(tables), temporary)
    except OSError as error:
        raise UserError(f"the corpus cannot be written to {path} ({error.strerror or error})") from None
    return card
