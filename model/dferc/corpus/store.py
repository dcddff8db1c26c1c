"""A corpus on disk: Parquet to keep and to exchange, an uncompressed Arrow copy beside it to map into memory.

Parquet has to be decoded, so it cannot be mapped. The first opening of a corpus on a machine decodes it once into an
Arrow file in the cache folder; every later opening, in any process, maps that file and hands out views of it.
"""

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dferc.corpus.contract import CARD_KEY, FEATURES, SPLITS, TRUTH, CorpusCard, Split, read_card, validate
from dferc.corpus.parquet import read_table, write_table
from dferc.errors import UserError

FINGERPRINT_KEY = b"dferc.fingerprint"


@dataclass(frozen=True)
class Dialogue:
    """Rows ``start`` to ``stop`` of the table: one dialogue, in the order of its turns."""

    id: str
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


class Corpus:
    """A validated table of utterances sorted by dialogue and turn, with its card."""

    def __init__(self, table: pa.Table, card: CorpusCard, fingerprint: str | None = None) -> None:
        self.table = table
        self.card = card
        self._fingerprint = fingerprint
        self._present: dict[str, np.ndarray] = {}

    @classmethod
    def from_table(cls, table: pa.Table, where: str = "the corpus") -> "Corpus":
        """Validate a table that carries its card and put it in order.

        Raises:
            UserError: the table breaks the contract; every problem is named.
        """
        card = read_card(table, where)
        validate(table, card, where)
        metadata = {CARD_KEY: card.as_json()}
        ordered = table.sort_by([("dialogue", "ascending"), ("turn", "ascending")]).combine_chunks()
        return cls(ordered.replace_schema_metadata(metadata), card)

    @classmethod
    def open(cls, path: Path | str, cache: Path | None = None) -> "Corpus":
        """Map the corpus at ``path`` into memory, decoding it into ``cache`` the first time.

        Raises:
            UserError: there is no such file, it is not Parquet, or it breaks the contract.
        """
        path = Path(path)
        if not path.is_file():
            raise UserError(f"there is no corpus at {path}: make one with `dferc data make` or `dferc data import`")
        mapped = (cache or cache_folder()) / f"{_file_key(path)}.arrow"
        if not mapped.exists():
            corpus = cls.from_table(_read_parquet(path), str(path))
            try:
                corpus._write_arrow(mapped)
            except OSError as error:
                reason = f"the cache folder {mapped.parent} cannot be written ({error.strerror or error})"
                raise UserError(
                    f"{reason}: set DFERC_CACHE to a folder that can, with room for the decoded corpus"
                ) from None
        with pa.memory_map(str(mapped)) as source:
            table = pa.ipc.open_file(source).read_all()
        fingerprint = table.schema.metadata[FINGERPRINT_KEY].decode()
        return cls(table, read_card(table, str(path)), fingerprint)

    def save(self, path: Path | str) -> Path:
        """Write the corpus as Parquet; the file appears whole or not at all.

        Raises:
            UserError: the file cannot be written there.
        """
        path = Path(path)
        try:
            with atomic(path) as temporary:
                write_table(self.table, temporary)
        except OSError as error:
            raise UserError(f"the corpus cannot be written to {path} ({error.strerror or error})") from None
        return path

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the content: the same card, utterances and vectors give the same text, whatever the file."""
        if self._fingerprint is None:
            self._fingerprint = _content_hash(self.table, self.card)
        return self._fingerprint

    @cached_property
    def dialogues(self) -> tuple[Dialogue, ...]:
        """Every dialogue, in table order."""
        runs = pc.run_end_encode(self.table["dialogue"].combine_chunks())
        stops = runs.run_ends.to_pylist()
        starts = [0, *stops[:-1]]
        return tuple(Dialogue(*run) for run in zip(runs.values.to_pylist(), starts, stops, strict=True))

    def split(self, name: Split) -> tuple[Dialogue, ...]:
        """The dialogues of one split."""
        return self._splits[name]

    def rows(self, split: Split) -> np.ndarray:
        """The rows [n] of one split's dialogues."""
        return np.concatenate([np.arange(d.start, d.stop) for d in self.split(split)] or [np.empty(0, np.int64)])

    @cached_property
    def labels(self) -> np.ndarray:
        """Label of every row [N], -1 where there is none."""
        labels: np.ndarray = pc.fill_null(self.table["label"], -1).to_numpy().astype(np.int64)
        return labels

    @cached_property
    def speakers(self) -> np.ndarray:
        """Speaker name of every row [N]."""
        return np.asarray(self.table["speaker"].to_pylist(), dtype=object)

    @cached_property
    def parties(self) -> np.ndarray:
        """Party of every row [N]: speakers numbered by first appearance inside their dialogue."""
        parties = np.empty(len(self.speakers), dtype=np.int64)
        for dialogue in self.dialogues:
            numbers: dict[str, int] = {}
            names = self.speakers[dialogue.start : dialogue.stop]
            parties[dialogue.start : dialogue.stop] = [numbers.setdefault(name, len(numbers)) for name in names]
        return parties

    @cached_property
    def texts(self) -> list[str]:
        """Transcript of every row, empty where there is none."""
        return [text or "" for text in self.table["text"].to_pylist()]

    def features(self, modality: str) -> np.ndarray:
        """Vectors of one modality [N, D]: a read-only view of the mapped file; zeros or noise where it is missing."""
        column = self._features_column(modality)
        values = column.values.slice(column.offset * column.type.list_size, len(column) * column.type.list_size)
        vectors: np.ndarray = values.to_numpy(zero_copy_only=True)
        return vectors.reshape(len(column), column.type.list_size)

    def present(self, modality: str) -> np.ndarray:
        """Which rows have this modality [N]."""
        if modality not in self._present:
            self._present[modality] = self._features_column(modality).is_valid().to_numpy(zero_copy_only=False)
        return self._present[modality]

    @property
    def truth_names(self) -> tuple[str, ...]:
        """What the generator knows of each row; nothing for a real corpus."""
        return tuple(name.removeprefix(TRUTH) for name in self.table.schema.names if name.startswith(TRUTH))

    def truth(self, name: str) -> np.ndarray:
        """What the generator knows of every row [N].

        Raises:
            UserError: it knows nothing of that name.
        """
        if name not in self.truth_names:
            known = ", ".join(self.truth_names) or "none"
            raise UserError(f"corpus {self.card.name} knows no truth {name!r}; it knows {known}")
        known_truth: np.ndarray = self.table[TRUTH + name].to_numpy()
        return known_truth

    def label_counts(self, split: Split) -> np.ndarray:
        """Utterances of each class [C] in one split."""
        labels = self.labels[self.rows(split)]
        return np.bincount(labels[labels >= 0], minlength=len(self.card.labels))

    @cached_property
    def _splits(self) -> dict[Split, tuple[Dialogue, ...]]:
        of_dialogue = self.table["split"].take(pa.array([d.start for d in self.dialogues], pa.int64())).to_pylist()
        together = list(zip(self.dialogues, of_dialogue, strict=True))
        return {name: tuple(dialogue for dialogue, split in together if split == name) for name in SPLITS}

    def _features_column(self, modality: str) -> pa.FixedSizeListArray:
        if modality not in self.card.modalities:
            has = ", ".join(self.card.modalities) or "none"
            raise UserError(f"corpus {self.card.name} has no modality {modality!r}; it has {has}")
        column = self.table[FEATURES + modality]
        return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()

    def _write_arrow(self, path: Path) -> None:
        metadata = {**self.table.schema.metadata, FINGERPRINT_KEY: self.fingerprint.encode()}
        table = self.table.replace_schema_metadata(metadata).combine_chunks()
        with (
            atomic(path) as temporary,
            pa.OSFile(str(temporary), "wb") as sink,
            pa.ipc.new_file(sink, table.schema) as out,
        ):
            out.write_table(table)


def cache_folder() -> Path:
    """Where decoded corpora lie: ``DFERC_CACHE`` or the user's cache folder."""
    default = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "dferc"
    return Path(os.environ.get("DFERC_CACHE", default))


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path`` that replaces it when the block ends well and vanishes when it does not."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _read_parquet(path: Path) -> pa.Table:
    try:
        return read_table(path)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
        first = str(error).splitlines()[0]
        raise UserError(
            f"{path} cannot be read as Parquet ({first}): a corpus is made with `dferc data make` or `import`"
        ) from None


def _file_key(path: Path) -> str:
    """Changes when the file changes; cheap, so that opening costs no read of the whole file."""
    stat = path.stat()
    text = f"{path.resolve()}|{stat.st_size}|{stat.st_mtime_ns}|{stat.st_ino}"
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _content_hash(table: pa.Table, card: CorpusCard) -> str:
    digest = hashlib.sha256(card.as_json())
    for name in sorted(table.schema.names):
        column = table[name].combine_chunks()
        digest.update(name.encode())
        digest.update(np.packbits(column.is_valid().to_numpy(zero_copy_only=False)).tobytes())
        if pa.types.is_fixed_size_list(column.type):
            digest.update(pc.list_flatten(column).to_numpy(zero_copy_only=False).tobytes())
        else:
            digest.update(repr(column.to_pylist()).encode())
    return digest.hexdigest()
