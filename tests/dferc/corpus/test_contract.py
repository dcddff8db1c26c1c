"""What the contract refuses: each breach with one sentence that says what and where."""

import numpy as np
import pyarrow as pa
import pytest

from dferc.corpus import Corpus, CorpusCard, Modality, corpus_schema, vector_array
from dferc.corpus.contract import CARD_KEY
from dferc.errors import UserError

CARD = CorpusCard(
    name="hand-made",
    labels=("calm", "glad"),
    modalities={"text": Modality(width=3, extractor="hand"), "audio": Modality(width=2, extractor="hand")},
    source="a test",
    licence="none",
    split_note="by hand",
)
ROWS = 6


def table(card=CARD, **changes):
    """Three dialogues of two turns, one in each split, with some columns replaced (None leaves one out)."""
    columns = {
        "dialogue": pa.array(["a", "a", "b", "b", "c", "c"]),
        "turn": pa.array([0, 1] * 3, pa.int32()),
        "speaker": pa.array(["Ann", "Bob"] * 3),
        "label": pa.array([0, 1, 1, None, 0, 1], pa.int32()),
        "split": pa.array(["train", "train", "validation", "validation", "test", "test"]),
        "text": pa.array(["hello"] * ROWS),
        "features.text": vector_array(np.ones((ROWS, 3))),
        "features.audio": vector_array(np.ones((ROWS, 2)), np.arange(ROWS) != 2),
    }
    columns |= changes
    kept = {name: column for name, column in columns.items() if column is not None}
    return pa.table(kept).replace_schema_metadata({CARD_KEY: card.model_dump_json().encode()})


def refusal(**changes):
    with pytest.raises(UserError) as caught:
        Corpus.from_table(table(**changes), "the corpus")
    return str(caught.value)


def vectors_with(value, width=3, row=3):
    vectors = np.ones((ROWS, width), dtype=np.float32)
    vectors[row, 1] = value
    return vectors


def test_accepts_a_table_that_keeps_the_contract():
    corpus = Corpus.from_table(table())
    assert corpus.card == CARD
    assert [d.id for d in corpus.dialogues] == ["a", "b", "c"]
    assert corpus.labels.tolist() == [0, 1, 1, -1, 0, 1]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"features.text": vector_array(np.ones((ROWS, 4)))},
            "column features.text is fixed_size_list<item: float>[4], must be fixed_size_list<item: float>[3]",
        ),
        ({"speaker": None}, "column speaker is missing"),
        (
            {"mood": pa.array([1] * ROWS)},
            "column mood is unknown; extra columns must start with truth. or be extraction.MODALITY",
        ),
        ({"turn": pa.array([0, 1] * 3, pa.int64())}, "column turn is int64, must be int32"),
        (
            {"features.text": vector_array(vectors_with(np.nan))},
            "features.text has 1 numbers that are NaN or infinite, the first at turn 1 of dialogue 'b'",
        ),
        (
            {"features.text": vector_array(vectors_with(-np.inf))},
            "features.text has 1 numbers that are NaN or infinite, the first at turn 1 of dialogue 'b'",
        ),
        (
            {"features.audio": vector_array(vectors_with(np.nan, 2), np.arange(ROWS) != 2)},
            "features.audio has 1 numbers that are NaN or infinite, the first at turn 1 of dialogue 'b'",
        ),
        (
            {"split": pa.array(["train", "test", "validation", "validation", "test", "test"])},
            "splits overlap: 1 dialogues are in more than one, the first is 'a'",
        ),
        (
            {"split": pa.array(["train", "train", "dev", "dev", "test", "test"])},
            "split 'dev' is none of train, validation, test",
        ),
        (
            {"label": pa.array([0, 1, 2, 0, 0, -1], pa.int32())},
            "2 labels are outside the list of 2 (calm, glad): the first is 2 at turn 0 of dialogue 'b'",
        ),
        ({"turn": pa.array([0, 0, 0, 1, 0, 1], pa.int32())}, "turn 0 of dialogue 'a' occurs 2 times"),
        ({"speaker": pa.array(["Ann", None] * 3)}, "column speaker has 3 empty cells"),
        ({"split": pa.array([None] * ROWS, pa.string())}, "column split has 6 empty cells"),
        (
            {
                "text": pa.array(["hello"] * 4 + [None, ""]),
                "features.text": vector_array(np.ones((ROWS, 3)), np.arange(ROWS) < 4),
                "features.audio": vector_array(np.ones((ROWS, 2)), np.arange(ROWS) < 4),
            },
            "1 dialogues are empty, without a text or a vector in any utterance: the first is 'c'",
        ),
    ],
)
def test_refuses_one_breach_in_one_sentence(changes, sentence):
    assert refusal(**changes) == f"the corpus: {sentence}"


def test_refuses_an_empty_corpus():
    with pytest.raises(UserError, match="there is no utterance in it"):
        Corpus.from_table(table().slice(0, 0))


def test_refuses_empty_numbers_inside_a_vector():
    values = pa.array([1.0, None, *[1.0] * 16], pa.float32())
    message = refusal(**{"features.text": pa.FixedSizeListArray.from_arrays(values, 3)})
    assert "features.text has 1 empty numbers inside its vectors" in message


def test_names_all_breaches_at_once():
    message = refusal(
        label=pa.array([0, 1, 9, 0, 0, 1], pa.int32()),
        turn=pa.array([0, 0, 0, 1, 0, 1], pa.int32()),
        split=pa.array(["train", "dev", "validation", "validation", "test", "test"]),
    )
    assert message.startswith("the corpus has 4 problems:")
    for part in ("labels are outside", "occurs 2 times", "split 'dev'", "splits overlap"):
        assert part in message
    several = refusal(speaker=None, text=None, mood=pa.array([1] * ROWS))
    assert several.count("\n  - ") == 3


def test_what_lies_under_a_missing_vector_does_not_matter():
    vectors = vectors_with(np.nan)
    corpus = Corpus.from_table(table(**{"features.text": vector_array(vectors, np.arange(ROWS) != 3)}))
    assert corpus.present("text").tolist() == [True, True, True, False, True, True]


def test_a_table_without_a_card_is_no_corpus():
    with pytest.raises(UserError, match="is a Parquet file but no corpus"):
        Corpus.from_table(table().replace_schema_metadata(None))


def test_a_broken_card_is_refused_with_all_its_problems():
    broken = table().replace_schema_metadata({CARD_KEY: b'{"name": "x", "labels": ["one"], "colour": "red"}'})
    with pytest.raises(UserError) as caught:
        Corpus.from_table(broken)
    for part in ("labels", "modalities", "colour"):
        assert part in str(caught.value)


def test_the_schema_carries_the_card_and_the_truth():
    schema = corpus_schema(CARD, {"conflict": pa.bool_()})
    assert schema.field("truth.conflict").type == pa.bool_()
    assert CorpusCard.model_validate_json(schema.metadata[CARD_KEY]) == CARD


def test_truth_is_kept_and_a_corpus_may_be_text_only():
    card = CARD.model_copy(update={"modalities": {}})
    changes = {"features.text": None, "features.audio": None, "truth.surprise": pa.array([True] * ROWS)}
    corpus = Corpus.from_table(table(card, **changes))
    assert corpus.truth_names == ("surprise",)
    assert corpus.truth("surprise").all()
    with pytest.raises(UserError, match="has no modality 'text'; it has none"):
        corpus.features("text")
    with pytest.raises(UserError, match="knows no truth 'conflict'; it knows surprise"):
        corpus.truth("conflict")
