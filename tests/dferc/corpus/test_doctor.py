"""The doctor finds each illness when it is there, and calls a sound corpus sound."""

import os
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from dferc.corpus import Corpus, vector_array
from dferc.corpus.contract import EXTRACTION_TYPE, SPLITS, Scaling
from dferc.corpus.doctor import Examination, examine
from dferc.corpus.doctor.examination import CHECKS
from dferc.corpus.importers import import_meld, import_mosi
from dferc.corpus.published import IEMOCAP_LABELS, PUBLISHED
from dferc.corpus.synthetic import TINY, generate

LENGTHS = [3, 9, 1, 5, 7, 2]
SHARED = Path(os.environ.get("DFERC_SHARED", Path(__file__).parents[4] / "shared")) / "data"


@pytest.fixture(scope="module")
def sound(make_corpus):
    return make_corpus(LENGTHS, missing=0)


def with_column(corpus, name, column):
    """The corpus with a column replaced or added."""
    index = corpus.table.schema.get_field_index(name)
    table = corpus.table
    made = table.append_column(name, column) if index < 0 else table.set_column(index, name, column)
    return Corpus.from_table(made)


def with_card(corpus, **changes):
    card = corpus.card.model_copy(update=changes)
    return Corpus(corpus.table.replace_schema_metadata({b"dferc.corpus": card.as_json()}), card)


def with_vectors(corpus, modality, change):
    """The corpus with vectors changed in place by ``change(vectors)``."""
    vectors = corpus.features(modality).copy()
    change(vectors)
    return with_column(corpus, f"features.{modality}", vector_array(vectors, corpus.present(modality)))


def found(corpus, name, quick=True):
    """Verdict, place and sentence of each finding of one check."""
    return [(c.verdict, c.where, c.sentence) for c in examine(corpus, quick).checks if c.name == name]


def one(corpus, name):
    (finding,) = found(corpus, name)
    return finding


def test_a_sound_corpus_is_good_throughout():
    corpus = generate(TINY.model_copy(update={"missing": 0.0}))
    examination = examine(corpus)
    odd = {check.name for check in examination.of("warning", "wrong", "mended")}
    assert odd == {"absent classes"}  # it is that small
    assert sum(examination.counts.values()) == len(examination.checks) >= len(CHECKS)
    assert Examination.model_validate_json(examination.model_dump_json()) == examination


def test_a_corpus_without_modalities_can_be_examined(sound):
    bare = sound.table.drop_columns([f"features.{name}" for name in sound.card.modalities])
    card = sound.card.model_copy(update={"modalities": {}})
    corpus = Corpus.from_table(bare.replace_schema_metadata({b"dferc.corpus": card.as_json()}))
    assert "too few labelled utterances" in found(corpus, "label leakage", quick=False)[0][2]


def test_a_dialogue_of_train_in_test_is_wrong(sound):
    first = sound.split("train")[0]
    copy = sound.table.slice(first.start, len(first))
    for name, value in (("dialogue", "copy"), ("split", "test")):
        copy = copy.set_column(
            copy.schema.get_field_index(name), copy.schema.field(name), pa.array([value] * len(first))
        )
    assert one(sound, "dialogues in two splits")[0] == "good"
    assert one(Corpus.from_table(pa.concat_tables([sound.table, copy])), "dialogues in two splits") == (
        "wrong",
        "test",
        f"1 dialogues of test are in train under another id (copy is {first.id}): drop them",
    )


def test_short_talk_that_recurs_is_no_copied_dialogue(make_corpus):
    corpus = make_corpus([2, 2, 2, 2, 2], widths={"text": 3}, missing=0)
    same = with_column(corpus, "text", pa.array(["Hey.", "Hey!"] * 5))
    same = with_vectors(same, "text", lambda v: v.__setitem__(slice(None), v[0]))
    assert one(same, "dialogues in two splits")[0] == "good"


def test_shared_texts_are_counted_long_and_short_apart(sound):
    texts = sound.texts.copy()
    train, test = sound.rows("train"), sound.rows("test")
    texts[test[0]] = texts[train[0]].upper()
    texts[test[1]] = texts[train[1]] = "Yeah."
    shared = with_column(sound, "text", pa.array(texts))
    assert found(shared, "texts in two splits") == [
        (
            "warning",
            "test",
            "2 of 7 texts of test occur verbatim in train, 1 of them with at least 4 words: "
            "if they are many, report scores without these too",
        )
    ]


def test_shared_vectors_are_named(sound):
    train, test = sound.rows("train"), sound.rows("test")

    def copy(vectors):
        vectors[test[0]] = vectors[train[0]]

    assert one(sound, "vectors in two splits")[0] == "good"
    verdict, where, sentence = one(with_vectors(sound, "audio", copy), "vectors in two splits")
    assert (verdict, where) == ("warning", "audio, test")
    assert sentence.startswith("1 of 7 audio vectors of test are in train too")


@pytest.mark.parametrize("modality", ["text_layer2", "comet_xintent"])
def test_other_vectors_of_texts_are_as_equal_as_the_texts(make_corpus, modality):
    corpus = make_corpus([2, 2, 2, 2, 2], widths={modality: 3}, missing=0)
    same = with_column(corpus, "text", pa.array(["Hey.", "You!"] * 5))
    same = with_vectors(same, modality, lambda v: v.__setitem__(slice(None), v[[0, 1] * 5]))
    assert one(same, "vectors in two splits")[0] == one(same, "repeated vectors")[0] == "good"
    assert one(same, "dialogues in two splits")[0] == "good"


def test_equal_texts_may_have_equal_vectors_but_different_ones_may_not(sound):
    train, test = sound.rows("train"), sound.rows("test")

    def copy(vectors):
        vectors[test[0]] = vectors[train[0]]

    copied = with_vectors(sound, "text", copy)
    assert "with another text" in one(copied, "vectors in two splits")[2]
    texts = sound.texts.copy()
    texts[test[0]] = " ".join(texts[train[0]])
    assert one(with_column(copied, "text", pa.array(texts)), "vectors in two splits")[0] == "good"


def test_repeated_vectors_inside_a_split(sound):
    train = sound.rows("train")

    def copy(vectors):
        vectors[train[:3]] = vectors[train[0]]

    assert one(sound, "repeated vectors")[0] == "good"
    audio = one(with_vectors(sound, "audio", copy), "repeated vectors")
    assert audio[:2] == ("warning", "audio, train")
    assert audio[2].startswith("3 utterances of train share their audio vector")
    assert "3 different texts" in one(with_vectors(sound, "text", copy), "repeated vectors")[2]


def test_zero_vectors_are_counted_and_are_no_copies(sound):
    zeros = with_vectors(sound, "visual", lambda v: v.__setitem__(slice(0, 4), 0))
    assert one(zeros, "all-zero vectors") == (
        "warning",
        "visual",
        "4 visual vectors are all zeros: if nothing was extracted, make them null",
    )
    assert one(zeros, "repeated vectors")[0] == "good"


def test_a_modality_that_is_often_missing_is_named(make_corpus):
    assert {where for _, where, _ in found(make_corpus(LENGTHS, missing=0.9), "missing modalities")} >= {"audio, train"}
    assert one(make_corpus(LENGTHS, missing=0), "missing modalities")[2] == "every utterance has every modality"


def test_constant_numbers_and_wide_scales(sound):
    def spoil(vectors):
        vectors[:, 0] = 3.0
        vectors[:, 1] *= 10000

    spoiled = with_vectors(sound, "text", spoil)
    assert one(spoiled, "constant numbers")[2].startswith("1 of the 6 numbers of a vector of modality text")
    assert "standardise them" in one(spoiled, "scales")[2]
    assert one(sound, "scales")[0] == one(sound, "constant numbers")[0] == "good"


@pytest.mark.parametrize(
    ("scaling", "verdict", "said"),
    [
        (Scaling(mean=(0.0,) * 6, scale=(1.0,) * 6, clip=100.0), "good", "as the card says for text"),
        (Scaling(mean=(0.0,) * 6, scale=(1.0,) * 6, clip=0.1), "wrong", "clipped at 0.1"),
        (Scaling(mean=(0.0,) * 5, scale=(1.0,) * 5, clip=100.0), "wrong", "for 5 numbers, must be 6"),
    ],
)
def test_scaling_is_what_the_card_says(sound, scaling, verdict, said):
    text = sound.card.modalities["text"].model_copy(update={"scaling": scaling})
    scaled = with_card(sound, modalities={**sound.card.modalities, "text": text})
    assert one(scaled, "scaling")[0] == verdict
    assert said in one(scaled, "scaling")[2]


def test_lost_turns_are_counted_inside_and_ahead(sound):
    turns = sound.table["turn"].to_numpy().copy()
    turns[1:3] += 5
    last = sound.split("test")[0]
    turns[last.start : last.stop] += 2
    lost = found(with_column(sound, "turn", pa.array(turns, pa.int32())), "gaps in turns")
    assert [(where, sentence.split(":")[0]) for _, where, sentence in lost] == [
        ("train", "1 dialogues of train lack turns inside, 0 their beginning"),
        ("test", "0 dialogues of test lack turns inside, 1 their beginning"),
    ]


def test_dialogues_without_a_label_are_counted(sound):
    labels = pa.array([None] * 3 + [1] * 24, pa.int32())
    assert one(with_column(sound, "label", labels), "unlabelled")[2].startswith(
        "train has 3 utterances without a label, 1 dialogues have none at all"
    )


def test_conversations_without_any_label_lack_no_class(sound):
    bare = with_column(sound, "label", pa.array([None] * 27, pa.int32()))
    assert one(bare, "absent classes")[0] == "good"
    assert {verdict for verdict, _, _ in found(bare, "unlabelled")} == {"warning"}


def test_a_damaged_copy_in_the_cache_is_wrong(sound):
    assert one(sound, "fingerprint")[0] == "good"
    assert one(Corpus(sound.table, sound.card, "0" * 64), "fingerprint")[0] == "wrong"


def test_files_need_hashes(sound):
    assert one(sound, "provenance")[0] == "warning"
    assert one(with_card(sound, files={"a.csv": "f" * 64}), "provenance")[0] == "good"
    assert one(with_card(sound, files={"a.csv": "F00"}), "provenance")[1] == "a.csv"


def test_repairs_are_shown_as_mended(sound):
    mended = with_card(sound, repairs=("two clips were cut", "one encoding was made right"))
    assert [(verdict, sentence) for verdict, _, sentence in found(mended, "repairs")] == [
        ("mended", "two clips were cut"),
        ("mended", "one encoding was made right"),
    ]


def test_notes_of_extractors_are_counted_by_kind_with_the_first_place(make_corpus):
    corpus = make_corpus(LENGTHS, missing=0)
    rows = corpus.table.num_rows
    present = np.arange(rows) >= 3
    corpus = with_column(corpus, "features.audio", vector_array(corpus.features("audio"), present))
    notes = [
        "'b 1.wav' has no sound",
        '"Ann\'s.wav" has no sound',
        "'c.wav' has no sound",
        "audio ends 0.2 s early",
        *[None] * (rows - 4),
    ]
    recorded = [{"extractor": "openSMILE", "note": note} for note in notes]
    noted = found(with_column(corpus, "extraction.audio", pa.array(recorded, EXTRACTION_TYPE)), "extraction")
    here, there = (f"turn {corpus.table['turn'][row]} of {corpus.table['dialogue'][row]}" for row in (0, 3))
    assert noted == [
        (
            "warning",
            "audio",
            f"3 utterances of audio left without a vector: 'b 1.wav' has no sound (the first is {here})",
        ),
        ("mended", "audio", f"1 utterances of audio used all the same: audio ends 0.2 s early ({there})"),
    ]
    recorded[5] = {"extractor": "another", "note": None}
    mixed = found(with_column(corpus, "extraction.audio", pa.array(recorded, EXTRACTION_TYPE)), "extraction")
    assert mixed[0][2].startswith("vectors of audio come from 2 extractors (another, openSMILE)")


# ------------------------------------------------------------------------------------- against what is published


@pytest.fixture
def iemocap(make_corpus):
    """Makes a corpus called IEMOCAP with one class a dialogue, so that its counts are free: [split][class]."""

    def make(counts, labels=IEMOCAP_LABELS):
        cells = [(split, label, n) for split in SPLITS for label, n in zip(IEMOCAP_LABELS, counts[split], strict=True)]
        corpus = make_corpus([n for _, _, n in cells], widths={"text": 2}, labels=labels)
        sizes = [n for _, _, n in cells]
        codes = np.repeat([labels.index(label) for _, label, _ in cells], sizes)
        corpus = with_column(corpus, "label", pa.array(codes, pa.int32()))
        splits = np.repeat([split for split, _, _ in cells], sizes)
        return with_card(with_column(corpus, "split", pa.array(splits)), name="iemocap")

    return make


def counts_of(**changes):
    return {split: list(changes.get(split, PUBLISHED["iemocap"].classes[split])) for split in SPLITS}


def test_published_counts_are_recognised(iemocap):
    corpus = iemocap(counts_of())
    assert one(corpus, "class counts")[::2] == (
        "good",
        "all 7433 labelled utterances, class by class in each split, as published",
    )
    assert one(corpus, "label order")[0] == "good"
    assert {verdict for verdict, _, _ in found(corpus, "number of dialogues")} == {"warning"}


@pytest.mark.parametrize("lost", [0, 5])
def test_exchanged_labels_are_wrong_also_when_a_few_utterances_are_lost(iemocap, lost):
    counts = counts_of()
    for split in SPLITS:
        counts[split][0], counts[split][3] = counts[split][3], counts[split][0]
    counts["train"][2] -= lost
    assert one(iemocap(counts), "label order")[::2] == (
        "wrong",
        "counts fit the published ones when happy and angry are exchanged: the labels were read in another order",
    )


def test_labels_of_the_other_repository_family_are_wrong(iemocap):
    """DialogXL's order read with the names of MMGCN's: every class is another."""
    theirs = [IEMOCAP_LABELS.index(name) for name in ("excited", "neutral", "frustrated", "sad", "happy", "angry")]
    counts = {split: [PUBLISHED["iemocap"].classes[split][i] for i in theirs] for split in SPLITS}
    verdict, _, sentence = one(iemocap(counts), "label order")
    assert verdict == "wrong"
    assert "happy is read as excited" in sentence


def test_another_order_of_the_same_names_is_compared_by_name(iemocap):
    corpus = iemocap(counts_of(), labels=tuple(reversed(IEMOCAP_LABELS)))
    assert one(corpus, "class counts")[0] == "good"
    assert one(corpus, "label order")[0] == "warning"


def test_another_validation_split_a_part_and_a_surplus_are_told_apart(iemocap):
    published = PUBLISHED["iemocap"].classes
    moved = counts_of(train=[a + 1 for a in published["train"]], validation=[a - 1 for a in published["validation"]])
    assert "6 utterances are in other splits" in one(iemocap(moved), "class counts")[2]
    part = one(iemocap(counts_of(train=[a - 1 for a in published["train"]])), "class counts")
    assert part[::2] == (
        "good",
        "a part of train or validation: 7427 of 7433 published utterances (99.9%); all of test",
    )
    fewer = one(iemocap(counts_of(test=[a - 1 for a in published["test"]])), "class counts")
    assert fewer[0] == "warning"
    assert "1617 of 1623 of test" in fewer[2]
    surplus = one(iemocap(counts_of(test=[a + 7 for a in published["test"]])), "class counts")
    assert surplus[:2] == ("warning", "test")
    assert "happy 151 for 144" in surplus[2]


def test_other_classes_are_said_to_be_others(sound):
    assert "published are happy, sad" in one(with_card(sound, name="iemocap"), "class counts")[2]
    assert one(sound, "class counts")[0] == "good"


# ------------------------------------------------------------------------------------------------- label leakage


@pytest.fixture(scope="module")
def unseen(make_corpus):
    """Enough to tell, with vectors that say a little of their class in every split."""
    return make_corpus([6] * 120, widths={"text": 8, "audio": 8}, missing=0.05, seed=3)


def test_vectors_that_know_the_labels_of_train_are_found(unseen):
    train = np.concatenate([unseen.rows("train"), unseen.rows("validation")])

    def tell(vectors):
        vectors[train, unseen.labels[train]] += 20

    (leak,) = found(with_vectors(unseen, "audio", tell), "label leakage", quick=False)
    assert leak[:2] == ("warning", "audio")
    assert "100.0 % right on train dialogues that were held out" in leak[2]


def test_vectors_that_only_tell_are_no_leak(unseen):
    ((verdict, _, sentence),) = found(unseen, "label leakage", quick=False)
    assert verdict == "good"
    assert sentence.count("on test") == 2
    assert found(unseen, "label leakage") == []


def test_other_shares_of_the_classes_in_test_are_no_leak(unseen):
    labels = np.where(np.random.default_rng(0).random(len(unseen.labels)) < 0.9, 0, 1)
    test = unseen.rows("test")
    labels[test] = np.arange(len(test)) % 2
    shifted = with_column(unseen, "label", pa.array(labels, pa.int32()))
    ((verdict, _, sentence),) = found(shifted, "label leakage", quick=False)
    assert verdict == "good", sentence
    assert "on test" in sentence


@pytest.mark.real
@pytest.mark.skipif(not SHARED.is_dir(), reason=f"the real corpora are not at {SHARED}")
def test_real_corpora(tmp_path):
    meld = import_meld(SHARED / "meld", "all-minilm-l6-v2")
    began = time.monotonic()
    examination = examine(meld)
    assert time.monotonic() - began < 10
    assert not examination.of("wrong")
    by_name = {check.name: check for check in examination.checks}
    assert by_name["class counts"].verdict == by_name["label leakage"].verdict == "good"
    mosi = [check.where for check in examine(import_mosi(SHARED / "mosi")).checks if check.name == "label leakage"]
    assert mosi == ["text", "visual"]
