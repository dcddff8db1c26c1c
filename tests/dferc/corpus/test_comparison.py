"""Every way in which two corpora can differ is found and counted, and nothing else."""

import numpy as np
import pyarrow as pa
import pytest

from dferc.corpus import Corpus, corpus_schema, vector_array
from dferc.corpus.comparison import ABSENT, Comparison, compare
from dferc.corpus.contract import EXTRACTION_TYPE, Scaling


@pytest.fixture(scope="module")
def a(make_corpus):
    return make_corpus([4, 3, 2, 5, 2], missing=0)


def changed(corpus, name, change):
    """The corpus with the cells of one column changed in place by ``change(cells)``."""
    cells = corpus.table[name].to_pylist()
    change(cells)
    index = corpus.table.schema.get_field_index(name)
    return Corpus.from_table(
        corpus.table.set_column(index, name, pa.array(cells, corpus.table.schema.field(name).type))
    )


def put(row, value):
    return lambda cells: cells.__setitem__(row, value)


def test_a_corpus_equals_itself_wherever_it_lies(a, tmp_path):
    again = compare(a, Corpus.open(a.save(tmp_path / "a.parquet")))
    assert again.equal
    assert (again.card, again.dialogues, again.utterances) == ((), {}, {})
    assert again.vectors["text"].equal
    assert (again.vectors["text"].largest, again.vectors["text"].in_both) == (0.0, 16)
    assert again.vectors["text"].lowest_cosine == pytest.approx(1)


@pytest.mark.parametrize(
    ("column", "row", "value", "was"),
    [("text", 5, "other", "utterance 1 of 1"), ("speaker", 5, "Rachel", None), ("text", 5, None, "utterance 1 of 1")],
)
def test_changed_cells_are_named_with_dialogue_and_turn(a, column, row, value, was):
    found = compare(a, changed(a, column, put(row, value)))
    assert list(found.utterances) == [column]
    (first,) = found.utterances[column].first
    assert (found.utterances[column].count, first.where, first.b) == (1, "d001 turn 1", str(value))
    assert first.a == (was or a.speakers[row])
    assert not found.equal


def test_labels_are_compared_by_name(a):
    other = changed(a, "label", put(0, (a.labels[0] + 1) % 4))
    assert compare(a, other).utterances["label"].first[0].a == a.card.labels[a.labels[0]]
    order = a.card.labels[::-1]
    card = a.card.model_copy(update={"labels": order})
    renamed = a.table.set_column(3, "label", pa.array(3 - a.labels, pa.int32()))
    found = compare(a, Corpus.from_table(renamed.replace_schema_metadata({b"dferc.corpus": card.as_json()})))
    assert found.utterances == {}
    assert [(field.where, field.b) for field in found.card] == [("labels", ", ".join(order))]
    assert not found.equal


def test_moved_and_lone_dialogues(a):
    def move(cells):
        cells[4:7] = ["test"] * 3

    moved = compare(a, changed(a, "split", move)).dialogues
    assert list(moved) == ["moved to another split"]
    (first,) = moved["moved to another split"].first
    assert (first.where, first.a, first.b) == ("d001", "train", "test")
    fewer = Corpus.from_table(a.table.slice(4))
    assert compare(a, fewer).dialogues["only in A"].first[0].where == "d000"
    assert compare(fewer, a).dialogues["only in B"].first[0].a == ABSENT
    assert compare(a, fewer).utterances == {}


def test_lone_turns_of_shared_dialogues(a):
    fewer = Corpus.from_table(a.table.slice(1))
    found = compare(a, fewer)
    assert (found.dialogues, list(found.utterances)) == ({}, ["only in A"])
    assert found.utterances["only in A"].first[0].where == "d000 turn 0"
    assert found.vectors["audio"].in_both == 15
    assert found.vectors["audio"].equal


def test_vectors_are_measured(a):
    vectors = a.features("audio").copy()
    vectors[2] *= -1
    vectors[3, 0] += 0.5
    vectors[4] = 0
    present = np.arange(len(vectors)) != 6
    index = a.table.schema.get_field_index("features.audio")
    b = Corpus.from_table(a.table.set_column(index, "features.audio", vector_array(vectors, present)))
    found = compare(a, b).vectors
    assert (found["text"].equal, found["audio"].equal) == (True, False)
    assert (found["audio"].differing, found["audio"].only_in_a, found["audio"].in_both) == (3, 1, 15)
    assert found["audio"].lowest_cosine == pytest.approx(-1)
    largest = np.abs(a.features("audio") - vectors)[present].max()
    assert found["audio"].largest == pytest.approx(largest)


def test_other_widths_and_lone_modalities(a, make_corpus):
    b = make_corpus([4, 3, 2, 5, 2], widths={"text": 9, "audio": 5}, missing=0)
    found = compare(a, b)
    visual = a.card.modalities["visual"]
    assert [(field.where, field.a, field.b) for field in found.card] == [
        ("modalities.text.width", "6", "9"),
        ("modalities.visual", f"{visual.width} numbers from {visual.extractor}", ABSENT),
    ]
    assert (found.vectors["text"].differing, list(found.vectors)) == (None, ["text", "audio"])


def test_settings_and_scalings_of_a_modality_are_compared_one_by_one(a):
    def carded(mean, rate):
        scaling = Scaling(mean=(mean,) * 5, scale=(1.0,) * 5, clip=10.0)
        audio = a.card.modalities["audio"].model_copy(update={"parameters": {"rate": rate}, "scaling": scaling})
        card = a.card.model_copy(update={"modalities": {**a.card.modalities, "audio": audio}})
        return Corpus.from_table(a.table.replace_schema_metadata({b"dferc.corpus": card.as_json()}))

    scaled, rated = compare(carded(0.0, 1), carded(0.5, 2)).card
    assert (scaled.where, rated.where) == ("modalities.audio.scaling", "modalities.audio.parameters.rate")
    assert scaled.a != scaled.b
    assert scaled.a.startswith("clip 10, means and deviations ")
    assert (rated.a, rated.b) == ("1", "2")
    assert compare(a, carded(0.0, 1)).card[0].a == "none"


def test_notes_are_compared_where_both_have_them(a):
    def noted(note):
        cells = [{"extractor": "e 1", "note": note}] + [{"extractor": "e 1", "note": ""}] * 15
        return Corpus.from_table(a.table.append_column("extraction.audio", pa.array(cells, EXTRACTION_TYPE)))

    (found,) = compare(noted("silent"), noted("")).utterances["extraction.audio"].first
    assert (found.where, found.a, found.b) == ("d000 turn 0", "silent (e 1)", "nothing noted (e 1)")
    assert compare(a, noted("silent")).utterances == {}


def test_other_columns_count_too(a):
    schema = corpus_schema(a.card, {"conflict": pa.float64()})
    columns = [*a.table.columns, pa.array(np.arange(16.0))]
    b = Corpus.from_table(pa.Table.from_arrays(columns, schema=schema))
    assert compare(a, b).utterances["truth.conflict"].count == 16


def test_corpora_with_nothing_in_common(a, make_corpus):
    b = make_corpus([2], missing=0)
    renamed = changed(b, "dialogue", lambda cells: cells.__setitem__(slice(None), ["x", "x"]))
    found = compare(a, renamed)
    assert (found.dialogues["only in A"].count, found.dialogues["only in B"].count) == (5, 1)
    assert found.vectors["text"].in_both == 0
    assert Comparison.model_validate_json(found.model_dump_json()) == found
