"""Public feature files of the field, recognised by what is in them and made a corpus.

Files are untrusted: pickles are read as data. Nothing is taken on trust of a file's name either: two files of one name
differ, and one file goes by several names.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from dferc.corpus.contract import CorpusCard, Modality, Split, corpus_schema, vector_array
from dferc.corpus.importers.feature_files.content import content_of
from dferc.corpus.importers.feature_files.files import opened
from dferc.corpus.importers.feature_files.joining import Joined, joined
from dferc.corpus.importers.feature_files.recognition import recognised
from dferc.corpus.importers.feature_files.splits import split_files
from dferc.corpus.importers.feature_files.together import of_all
from dferc.corpus.published import PUBLISHED
from dferc.corpus.store import Corpus
from dferc.errors import UserError

__all__ = ["import_feature_files"]

LICENCES = {
    "iemocap": "for research only, as IEMOCAP's release form says; the file itself states no licence",
    "meld": "GPL-3.0, as MELD's repository says; the file itself states no licence",
}


def import_feature_files(paths: Sequence[Path | str], splits: Mapping[Split, Path | str] | None = None) -> Corpus:
    """The corpus that one feature file holds, or several together.

    Args:
        paths: files, or folders that hold nothing else, in any order and under any names.
        splits: which file is which split, for layouts whose files do not say it (DAG-ERC's); needed for files that
            are not whole.

    Raises:
        UserError: a file is of no known layout (the nearest is named), is not what its layout says, or the files do
            not belong together; all problems are named.
    """
    chosen = {split: Path(path) for split, path in (splits or {}).items()}
    try:
        return _imported([*map(Path, paths), *chosen.values()], chosen)
    except MemoryError:
        raise UserError(f"{', '.join(map(str, [*paths, *chosen.values()]))}: there is not enough memory") from None


def _imported(paths: Sequence[Path], chosen: Mapping[Split, Path]) -> Corpus:
    sources = of_all(recognised, opened(paths))
    split_of = split_files(sources, chosen)
    contents = of_all(lambda source: content_of(source, split_of.get(source.file.path)), sources)
    return _corpus(joined(contents))


def _corpus(files: Joined) -> Corpus:
    name = files.contents[0].source.corpus
    talk = files.talk
    card = CorpusCard(
        name=name,
        labels=PUBLISHED[name].labels,
        modalities={
            modality: Modality(width=found.values.shape[1], extractor=found.extractor)
            for modality, found in files.vectors.items()
        },
        source="; ".join(dict.fromkeys(content.source.layout.source for content in files.contents)),
        licence=LICENCES[name],
        split_note=talk.split_note,
        speaker_note=talk.speaker_note,
        files=_hashes(files),
        repairs=files.notes,
    )
    dialogues = np.repeat(list(files.lengths), list(files.lengths.values()))
    columns = [
        pa.array(dialogues.tolist()),
        pa.array(talk.turns),
        pa.array(talk.speakers),
        pa.array(talk.labels, pa.int32(), mask=talk.labels < 0),
        pa.array([talk.splits[dialogue] for dialogue in dialogues.tolist()]),
        pa.array(talk.texts),
        *(vector_array(found.values, found.present) for found in files.vectors.values()),
    ]
    where = ", ".join(card.files)
    return Corpus.from_table(pa.Table.from_arrays(columns, schema=corpus_schema(card)), where)


def _hashes(files: Joined) -> dict[str, str]:
    """By file name, with its folder where two files have one name."""
    paths = [content.source.file.path for content in files.contents]
    names = [path.name for path in paths]
    return {
        path.name if names.count(path.name) == 1 else f"{path.parent.name}/{path.name}": content.source.file.sha256
        for path, content in zip(paths, files.contents, strict=True)
    }
