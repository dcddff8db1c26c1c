"""The summary counts right and warns of what a person should know."""

import numpy as np
import pyarrow as pa

from dferc.corpus import Corpus, vector_array
from dferc.corpus.summary import Summary, describe
from dferc.corpus.synthetic import generate

LENGTHS = [3, 9, 1, 5, 7, 2]


def with_column(corpus, name, column):
    index = corpus.table.schema.get_field_index(name)
    return Corpus.from_table(corpus.table.set_column(index, name, column))


def warned(corpus, part):
    return [warning for warning in describe(corpus).warnings if part in warning]


def test_counts(make_corpus):
    corpus = make_corpus(LENGTHS)
    summary = describe(corpus)
    train = summary.splits["train"]
    assert (summary.dialogues, summary.utterances) == (6, 27)
    assert (train.dialogues, train.utterances) == (4, 15)
    assert (train.shortest, train.median, train.longest) == (1, 2.5, 9)
    assert list(train.classes.values()) == corpus.label_counts("train").tolist()
    assert train.missing["audio"] == 15 - corpus.present("audio")[corpus.rows("train")].sum()
    assert train.unseen_speakers == 0
    assert summary.fingerprint == corpus.fingerprint
    assert summary.card == corpus.card
    assert Summary.model_validate_json(summary.model_dump_json()) == summary


def test_a_sound_corpus_has_no_warning_but_of_recurring_texts():
    summary = describe(generate())
    assert summary.truth == ("ambiguous", "conflict", "reliability.text", "reliability.audio", "reliability.visual")
    assert [warning for warning in summary.warnings if "occur verbatim" not in warning] == []


def test_speakers_who_never_speak_in_train(make_corpus):
    corpus = make_corpus(LENGTHS)
    names = [f"{split} only" for split in corpus.table["split"].to_pylist()]
    splits = describe(with_column(corpus, "speaker", pa.array(names))).splits
    assert [part.unseen_speakers for part in splits.values()] == [0, 1, 1]


def test_empty_splits_are_named(make_corpus):
    corpus = make_corpus([3, 4])
    assert list(describe(corpus).splits) == ["train"]
    assert len(warned(corpus, "is empty, so")) == 2


def test_classes_without_utterances_are_named(make_corpus):
    corpus = make_corpus(LENGTHS)
    labels = pa.array([0] * corpus.table.num_rows, pa.int32())
    assert len(warned(with_column(corpus, "label", labels), "has no utterance of joy, anger, sadness")) == 3


def test_unlabelled_utterances_are_counted(make_corpus):
    corpus = make_corpus(LENGTHS)
    without = with_column(corpus, "label", pa.array([None] * 3 + [1] * 24, pa.int32()))
    assert describe(without).splits["train"].unlabelled == 3
    assert warned(without, "train has 3 utterances without a label")


def test_texts_shared_between_splits_are_counted(make_corpus):
    corpus = make_corpus(LENGTHS)
    assert not warned(corpus, "occur verbatim")
    texts = corpus.texts.copy()
    train, test = corpus.rows("train"), corpus.rows("test")
    texts[test[0]] = texts[train[0]].upper()
    texts[test[1]] = texts[train[1]] = "Yeah."
    found = warned(with_column(corpus, "text", pa.array(texts)), "occur verbatim in train")
    assert found == [
        "2 of 7 texts of test occur verbatim in train, 1 of them with at least 4 words: "
        "if they are many, report scores without these too"
    ]


def test_a_modality_that_is_often_missing_is_named(make_corpus):
    assert warned(make_corpus(LENGTHS, missing=0.6), "utterances of train lack audio")
    assert not warned(make_corpus(LENGTHS, missing=0), " lack ")


def test_constant_numbers_and_wide_scales_are_named(make_corpus):
    corpus = make_corpus(LENGTHS)
    vectors = np.random.default_rng(0).normal(size=(corpus.table.num_rows, 6))
    vectors[:, 0] = 3.0
    vectors[:, 1] *= 1000
    changed = with_column(corpus, "features.text", vector_array(vectors))
    assert warned(changed, "1 of the 6 numbers of a vector of modality text are the same in all of train")
    assert warned(changed, "standardise them")
    assert not warned(corpus, "standardise them")


def test_lost_turns_and_lone_utterances_are_named(make_corpus):
    corpus = make_corpus(LENGTHS)
    turns = corpus.table["turn"].to_numpy().copy()
    turns[1:3] += 5
    changed = with_column(corpus, "turn", pa.array(turns, pa.int32()))
    assert warned(changed, "1 dialogues of train lack turns")
    assert warned(corpus, "1 dialogues of train have one utterance")
