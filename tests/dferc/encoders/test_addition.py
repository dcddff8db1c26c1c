"""Vectors added to a corpus: all that was there stays to the last bit, and the card says what is new."""

import hashlib

import numpy as np
import pytest

from dferc.corpus import Corpus, Modality
from dferc.encoders.addition import add_vectors, recorded
from dferc.encoders.assembly import Made
from dferc.encoders.extractor import Extracted
from dferc.errors import UserError

WIDTH = 3


def vectors_of(dialogue):
    """Vectors that say where they belong; every third utterance has none."""
    at = [[int(u.dialogue[1:]), u.turn, int(u.text.split()[1])] for u in dialogue]
    present = np.array([turn % 3 != 2 for _, turn, _ in at])
    notes = tuple("" if found else "no text" for found in present)
    return Extracted(np.where(present[:, None], np.array(at, np.float32), np.float32(0)), present, notes)


def nothing_of(dialogue):
    return Extracted(np.zeros((len(dialogue), 1), np.float32), np.zeros(len(dialogue), bool), ("",) * len(dialogue))


def added(corpus, folder, scaling=None):
    source, target = corpus.save(folder / "old.parquet"), folder / "new.parquet"
    made = Made(Modality(width=WIDTH, extractor="counting 1"), vectors_of, scaling)
    card = add_vectors(corpus, {"comet_xwant": made}, source, target)
    assert Corpus.open(target).card == card
    return Corpus.open(target)


@pytest.mark.parametrize("lengths", [[3, 9, 1, 5, 7, 12, 2, 6], [900] * 5], ids=["small", "in pieces"])
def test_all_that_was_there_stays(make_corpus, tmp_path, lengths):
    old = make_corpus(lengths)
    new = added(old, tmp_path)
    for name in old.table.schema.names:
        assert new.table[name].equals(old.table[name]), name
    assert {d.id: len(d) for d in new.dialogues} == {d.id: len(d) for d in old.dialogues}
    places = [(int(d.id[1:]), turn) for d in new.dialogues for turn in range(len(d))]
    present = np.array([turn % 3 != 2 for _, turn in places])
    assert np.array_equal(new.present("comet_xwant"), present)
    expected = np.array([[*place, place[1]] for place in places], np.float32)
    assert np.array_equal(new.features("comet_xwant")[present], expected[present])
    rows = new.table["extraction.comet_xwant"].to_pylist()
    assert {row["extractor"] for row in rows} == {"counting 1"}
    assert [row["note"] == "" for row in rows] == present.tolist()


def test_what_a_generator_knows_stays_too(tiny_corpus, tmp_path):
    old = Corpus.open(tiny_corpus)
    made = Made(Modality(width=1, extractor="nothing 1"), nothing_of)
    add_vectors(old, {"comet_xwant": made}, tiny_corpus, tmp_path / "new.parquet")
    new = Corpus.open(tmp_path / "new.parquet")
    assert all(new.table[name].equals(old.table[name]) for name in old.table.schema.names)
    assert new.truth_names == old.truth_names
    assert not new.present("comet_xwant").any()


def test_the_card_says_what_was_added_to_what(make_corpus, tmp_path):
    old = make_corpus([3, 4, 2])
    new = added(old, tmp_path)
    assert list(new.card.modalities) == [*old.card.modalities, "comet_xwant"]
    assert new.card.files["old.parquet"] == hashlib.sha256((tmp_path / "old.parquet").read_bytes()).hexdigest()
    assert new.fingerprint != old.fingerprint
    assert Corpus.open(tmp_path / "old.parquet").fingerprint == old.fingerprint


def test_added_vectors_are_standardised_by_train_alone(make_corpus, tmp_path):
    new = added(make_corpus([4] * 10), tmp_path, scaling=10.0)
    train = new.features("comet_xwant")[new.rows("train")]
    assert np.allclose(train[new.present("comet_xwant")[new.rows("train")]].mean(0), 0, atol=1e-6)
    assert new.card.modalities["comet_xwant"].scaling is not None


def test_a_corpus_without_transcripts_has_nothing_to_make_them_of(make_corpus):
    old = make_corpus([3, 4])
    at = old.table.schema.get_field_index("text")
    silent = old.table.set_column(at, "text", [[None] * old.table.num_rows])
    with pytest.raises(UserError, match="corpus random has no transcripts"):
        recorded(Corpus.from_table(silent.cast(old.table.schema)))


def test_a_folder_that_cannot_be_written_is_a_sentence(make_corpus, tmp_path):
    corpus = make_corpus([3])
    source = corpus.save(tmp_path / "old.parquet")
    with pytest.raises(UserError, match="cannot be written"):
        add_vectors(corpus, {}, source, source / "new.parquet")
