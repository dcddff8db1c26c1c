"""Keeping a corpus: to the last bit, whole or not at all, and mapped rather than copied."""

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dferc.corpus import SPLITS, Corpus
from dferc.corpus.contract import CARD_KEY
from dferc.corpus.store import atomic, cache_folder
from dferc.errors import UserError

LENGTHS = [3, 9, 1, 5, 7, 2]


@pytest.fixture
def random_corpus(make_corpus):
    return make_corpus(LENGTHS)


def test_round_trip_to_the_last_bit(random_corpus, tmp_path):
    opened = Corpus.open(random_corpus.save(tmp_path / "corpus.parquet"), cache=tmp_path / "cache")
    assert opened.card == random_corpus.card
    assert opened.fingerprint == random_corpus.fingerprint
    assert opened.dialogues == random_corpus.dialogues
    assert opened.texts == random_corpus.texts
    assert opened.speakers.tolist() == random_corpus.speakers.tolist()
    assert np.array_equal(opened.labels, random_corpus.labels)
    for name in random_corpus.card.modalities:
        present = random_corpus.present(name)
        assert 0 < present.sum() < len(present)
        assert np.array_equal(opened.present(name), present)
        assert opened.features(name)[present].tobytes() == random_corpus.features(name)[present].tobytes()


def test_strange_floats_survive(make_corpus, tmp_path):
    corpus = make_corpus([2, 2, 2], widths={"text": 4}, missing=0)
    strange = np.array([[-0.0, 1e-45, 3.4028235e38, np.float32(0.1)]] * 6, dtype=np.float32)
    column = pa.FixedSizeListArray.from_arrays(pa.array(strange.reshape(-1)), 4)
    index = corpus.table.schema.get_field_index("features.text")
    changed = Corpus.from_table(corpus.table.set_column(index, "features.text", column))
    opened = Corpus.open(changed.save(tmp_path / "corpus.parquet"), cache=tmp_path / "cache")
    assert opened.features("text").tobytes() == strange.tobytes()


def test_fingerprint_ignores_file_order_and_chunks(random_corpus, tmp_path):
    table = random_corpus.table
    shuffled = table.take(pa.array(np.random.default_rng(1).permutation(table.num_rows)))
    chunked = pa.concat_tables([shuffled.slice(0, 4), shuffled.slice(4, 1), shuffled.slice(5)])
    reversed_columns = chunked.select(chunked.schema.names[::-1])
    pq.write_table(as_lists(reversed_columns), tmp_path / "other.parquet", row_group_size=3, compression="snappy")
    other = Corpus.open(tmp_path / "other.parquet", cache=tmp_path / "cache")
    assert other.fingerprint == random_corpus.fingerprint
    assert other.dialogues == random_corpus.dialogues


def as_lists(table):
    """What another tool would write: vectors as lists of any length."""
    for name in [name for name in table.schema.names if name.startswith("features.")]:
        index = table.schema.get_field_index(name)
        table = table.set_column(index, name, pa.array(table[name].to_pylist(), pa.list_(pa.float32())))
    return table


def test_a_modality_that_is_missing_everywhere_survives(make_corpus, tmp_path):
    corpus = make_corpus(LENGTHS, missing=1)
    opened = Corpus.open(corpus.save(tmp_path / "corpus.parquet"), cache=tmp_path / "cache")
    assert opened.fingerprint == corpus.fingerprint
    assert not opened.present("audio").any()


def test_vectors_of_unequal_length_are_refused(random_corpus, tmp_path):
    table = as_lists(random_corpus.table)
    index = table.schema.get_field_index("features.text")
    ragged = [[0.0] * (row % 3 + 1) for row in range(table.num_rows)]
    table = table.set_column(index, "features.text", pa.array(ragged, pa.list_(pa.float32())))
    pq.write_table(table, tmp_path / "ragged.parquet")
    with pytest.raises(UserError, match=r"column features.text is list<.*>, must be fixed_size_list"):
        Corpus.open(tmp_path / "ragged.parquet", cache=tmp_path / "cache")


def test_fingerprint_ignores_what_lies_under_a_missing_vector(random_corpus):
    column = random_corpus.table["features.text"].combine_chunks()
    values = column.values.to_numpy().reshape(len(column), -1).copy()
    values[~random_corpus.present("text")] = 7.0
    mask = pa.array(~random_corpus.present("text"))
    other = pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), values.shape[1], mask=mask)
    index = random_corpus.table.schema.get_field_index("features.text")
    changed = Corpus.from_table(random_corpus.table.set_column(index, "features.text", other))
    assert changed.fingerprint == random_corpus.fingerprint


@pytest.mark.parametrize("column", ["label", "text", "speaker", "features.audio", "card", "truth.mood"])
def test_fingerprint_sees_every_change(random_corpus, column):
    table = random_corpus.table
    if column == "card":
        card = random_corpus.card.model_copy(update={"licence": "other"})
        table = table.replace_schema_metadata({CARD_KEY: card.model_dump_json().encode()})
    elif column == "truth.mood":
        table = table.append_column(column, pa.array([0.5] * table.num_rows))
    else:
        values = table[column].to_pylist()
        row = next(i for i, value in enumerate(values) if value is not None)
        values[row] = changed_value(values[row])
        index = table.schema.get_field_index(column)
        table = table.set_column(index, column, pa.array(values, table.schema.field(column).type))
    assert Corpus.from_table(table).fingerprint != random_corpus.fingerprint


def changed_value(value):
    if isinstance(value, str):
        return value + "!"
    if isinstance(value, int):
        return (value + 1) % 4
    return [float(np.nextafter(np.float32(value[0]), np.float32(9))), *value[1:]]


def test_features_are_views_of_the_mapped_file(make_corpus, tmp_path):
    corpus = make_corpus([40] * 60, widths={"text": 64})
    opened = Corpus.open(corpus.save(tmp_path / "corpus.parquet"), cache=tmp_path / "cache")
    before = pa.total_allocated_bytes()
    vectors = opened.features("text")
    assert pa.total_allocated_bytes() - before < vectors.nbytes / 10
    address = vectors.__array_interface__["data"][0]
    mapped = mapped_ranges(tmp_path / "cache")
    assert any(start <= address and address + vectors.nbytes <= stop for start, stop in mapped)
    assert not vectors.flags.writeable


def mapped_ranges(folder):
    lines = [line for line in Path("/proc/self/maps").read_text().splitlines() if str(folder) in line]
    return [tuple(int(end, 16) for end in re.match(r"(\w+)-(\w+)", line).groups()) for line in lines]


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs /proc")
def test_the_second_opening_decodes_nothing(random_corpus, tmp_path, monkeypatch):
    path = random_corpus.save(tmp_path / "corpus.parquet")
    first = Corpus.open(path, cache=tmp_path / "cache")
    monkeypatch.setattr("dferc.corpus.store.read_table", lambda _: pytest.fail("decoded again"))
    assert Corpus.open(path, cache=tmp_path / "cache").fingerprint == first.fingerprint


def test_a_changed_file_is_decoded_again(make_corpus, tmp_path):
    path = tmp_path / "corpus.parquet"
    make_corpus(LENGTHS).save(path)
    first = Corpus.open(path, cache=tmp_path / "cache").fingerprint
    make_corpus(LENGTHS, seed=1).save(path)
    assert Corpus.open(path, cache=tmp_path / "cache").fingerprint != first


def test_rows_are_in_order_of_dialogue_and_turn(random_corpus):
    turns = random_corpus.table["turn"].to_numpy()
    for dialogue, length in zip(random_corpus.dialogues, LENGTHS, strict=True):
        assert len(dialogue) == length
        assert turns[dialogue.start : dialogue.stop].tolist() == list(range(length))
    assert sorted(np.concatenate([random_corpus.rows(split) for split in SPLITS])) == list(range(sum(LENGTHS)))


def test_label_counts_leave_unlabelled_utterances_out(random_corpus):
    table = random_corpus.table
    index = table.schema.get_field_index("label")
    labels = pa.array([None] * 3 + [1] * (table.num_rows - 3), pa.int32())
    corpus = Corpus.from_table(table.set_column(index, "label", labels))
    train = corpus.rows("train")
    assert corpus.label_counts("train").tolist() == [0, len(train) - 3, 0, 0]


def test_parties_number_the_speakers_of_each_dialogue(random_corpus):
    for dialogue in random_corpus.dialogues:
        names = random_corpus.speakers[dialogue.start : dialogue.stop].tolist()
        order = list(dict.fromkeys(names))
        assert random_corpus.parties[dialogue.start : dialogue.stop].tolist() == [order.index(name) for name in names]


def test_a_crash_while_saving_leaves_nothing_behind(random_corpus, tmp_path, monkeypatch):
    def crash(_table, path, **_):
        Path(path).write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr("dferc.corpus.store.write_table", crash)
    with pytest.raises(KeyboardInterrupt):
        random_corpus.save(tmp_path / "corpus.parquet")
    assert list(tmp_path.iterdir()) == []


def test_a_failed_save_keeps_the_old_file(random_corpus, tmp_path, monkeypatch):
    path = random_corpus.save(tmp_path / "corpus.parquet")
    before = path.read_bytes()

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("dferc.corpus.store.write_table", full)
    with pytest.raises(UserError, match=r"cannot be written to .*corpus.parquet \(No space left on device\)"):
        random_corpus.save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_cache_that_cannot_be_written_is_named(random_corpus, tmp_path):
    path = random_corpus.save(tmp_path / "corpus.parquet")
    (tmp_path / "cache").write_text("a file where a folder should be")
    with pytest.raises(UserError, match=r"cache folder .*cache cannot be written .*: set DFERC_CACHE"):
        Corpus.open(path, cache=tmp_path / "cache")


def test_atomic_replaces_only_at_the_end(tmp_path):
    target = tmp_path / "folder" / "file.txt"
    with atomic(target) as temporary:
        temporary.write_text("whole")
        assert not target.exists()
    assert target.read_text() == "whole"
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("content", [b"", b"no parquet at all", b"PAR1" + b"\0" * 40 + b"PAR1"])
def test_a_file_that_is_not_parquet_is_refused(tmp_path, content):
    path = tmp_path / "corpus.parquet"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"corpus.parquet cannot be read as Parquet"):
        Corpus.open(path, cache=tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_no_file_and_a_foreign_table_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"there is no corpus at .*nowhere.parquet: make one with `dferc data make`"):
        Corpus.open(tmp_path / "nowhere.parquet")
    with pytest.raises(UserError, match="there is no corpus at"):
        Corpus.open(tmp_path)
    pq.write_table(pa.table({"a": [1]}), tmp_path / "foreign.parquet")
    with pytest.raises(UserError, match="is a Parquet file but no corpus"):
        Corpus.open(tmp_path / "foreign.parquet", cache=tmp_path / "cache")


def test_a_bad_corpus_never_reaches_the_cache(random_corpus, tmp_path):
    table = random_corpus.table
    index = table.schema.get_field_index("label")
    labels = pa.array([99] * table.num_rows, pa.int32())
    pq.write_table(as_lists(table.set_column(index, "label", labels)), tmp_path / "bad.parquet")
    with pytest.raises(UserError, match="labels are outside the list of 4"):
        Corpus.open(tmp_path / "bad.parquet", cache=tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_the_cache_folder_can_be_chosen(monkeypatch, tmp_path):
    monkeypatch.setenv("DFERC_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("DFERC_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "dferc"
