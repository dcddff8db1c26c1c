"""Importers: what small hand-made files become, what is refused, and that the real corpora come out right."""

import csv
import gzip
import os
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from dferc.corpus import SPLITS
from dferc.corpus.importers import import_meld, import_mosi
from dferc.corpus.tables import repaired
from dferc.errors import UserError

MELD_COLUMNS = ["Sr No.", "Utterance", "Speaker", "Emotion", "Sentiment", "Dialogue_ID", "Utterance_ID"]
MELD_ROWS = [
    [1, "Hi\x92there", "Ross", "joy", "positive", 0, 2],
    [2, "No!", "Rachel", "anger", "negative", 0, 0],
    [3, "Yes, \u00e2\u20ac\u2122tis", "Ross ", "neutral", "neutral", 1, 0],
]
WIDTH = 4


@pytest.fixture
def meld(tmp_path):
    """Three utterances in each split; one text occurs in all."""
    for part in ("train", "dev", "test"):
        write_meld(tmp_path, part, MELD_ROWS)
    vectors = np.random.default_rng(0).normal(size=(3, WIDTH)).astype(np.float16)
    np.savez(tmp_path / "small.npz", train=vectors, dev=vectors, test=vectors)
    return tmp_path


def write_meld(folder, part, rows, columns=MELD_COLUMNS):
    with (folder / f"{part}_sent_emo.csv").open("w", encoding="utf-8", newline="") as lines:
        csv.writer(lines).writerows([columns, *rows])


def meld_refusal(folder, embedding="small"):
    with pytest.raises(UserError) as caught:
        import_meld(folder, embedding)
    return str(caught.value)


def test_meld_becomes_a_corpus(meld):
    corpus = import_meld(meld, "small")
    assert [d.id for d in corpus.dialogues] == [f"{split}-{i:04d}" for split in sorted(SPLITS) for i in (0, 1)]
    assert {d.id.split("-")[0] for d in corpus.split("validation")} == {"validation"}
    train = corpus.rows("train")
    assert [corpus.texts[row] for row in train] == ["No!", "Hi’there", "Yes, ’tis"]
    assert corpus.speakers[train].tolist() == ["Rachel", "Ross", "Ross"]
    assert [corpus.card.labels[label] for label in corpus.labels[train]] == ["anger", "joy", "neutral"]
    with np.load(meld / "small.npz") as arrays:
        assert np.array_equal(corpus.features("text")[train], arrays["train"][[1, 0, 2]].astype(np.float32))
    assert "small" in corpus.card.modalities["text"].extractor


@pytest.mark.parametrize(
    ("broken", "right"),
    [
        ("it\x92s", "it’s"),
        ("it\u00e2\u20ac\u2122s", "it’s"),
        ("\u00e2\u20ac\u0153No\u00e2\u20ac\x9d", "“No”"),
        ("it\u00e2\x80\x99s", "it’s"),
        ("caf\u00c3\u00a9", "café"),
        ("café", "café"),
        ("it’s — fine…", "it’s — fine…"),
        ("plain", "plain"),
        ("日本", "日本"),
    ],
)
def test_broken_encodings_are_repaired_and_sound_ones_left(broken, right):
    assert repaired(broken) == right


def test_meld_names_all_missing_files(meld):
    (meld / "dev_sent_emo.csv").unlink()
    message = meld_refusal(meld, "other")
    assert "lacks dev_sent_emo.csv, other.npz" in message
    assert "embeddings found there: small" in message


def test_meld_names_all_bad_rows(meld):
    rows = [[1, "a", "Ross", "glee", "", 0, 0], [2, "b", "Ross", "joy", "", "x", 1]]
    write_meld(meld, "train", rows)
    message = meld_refusal(meld)
    assert "row 2 has the emotion 'glee', must be one of neutral, surprise" in message
    assert "row 3 has Dialogue_ID 'x', must be a whole number" in message


def test_meld_refuses_missing_columns(meld):
    write_meld(meld, "test", [], [name for name in MELD_COLUMNS if name != "Emotion"])
    assert "lacks the columns Emotion" in meld_refusal(meld)


def test_meld_refuses_vectors_of_other_rows(meld):
    good = np.zeros((3, WIDTH), np.float16)
    np.savez(meld / "small.npz", train=good[:2], dev=good, test=good)
    assert "train has 2 vectors for 3 rows" in meld_refusal(meld)
    np.savez(meld / "small.npz", train=good, dev=good)
    assert "must be an npz with the arrays train, dev, test" in meld_refusal(meld)
    np.savez(meld / "small.npz", train=good, dev=good, test=good[:, :2])
    assert "must be tables of one width" in meld_refusal(meld)
    (meld / "small.npz").write_bytes(b"no archive")
    assert "must be an npz" in meld_refusal(meld)


def test_meld_refuses_vectors_in_another_order(meld):
    vectors = np.random.default_rng(0).normal(size=(3, WIDTH)).astype(np.float16)
    np.savez(meld / "small.npz", train=vectors, dev=vectors[::-1], test=vectors)
    assert "is not in the order of the CSV rows" in meld_refusal(meld)


def test_meld_never_unpickles(meld):
    harmful = np.array([{"a": 1}] * 3, dtype=object)
    np.savez(meld / "small.npz", train=harmful, dev=harmful, test=harmful)
    assert "must be an npz with the arrays train, dev, test of numbers" in meld_refusal(meld)


@pytest.fixture
def mosi(tmp_path):
    """Six train videos and one test video of two turns each; rows are not in order of turns."""
    random = np.random.default_rng(0)
    names = [f"v_{video}_{turn}" for video in range(7) for turn in (10, 2)]
    labels = random.integers(0, 2, len(names))
    write_rows(
        tmp_path / "transcripts.csv.gz",
        [[n, n.upper(), n.split("_")[1], y] for n, y in zip(names, labels, strict=True)],
    )
    for part, rows in (("train", random.permutation(12)), ("test", np.array([13, 12]))):
        for file, width in (("text", 3), ("audio", 2), ("video", 4)):
            vectors = random.normal(size=(len(rows), width))
            write_rows(
                tmp_path / f"{file}_{part}0.csv.gz", [[*v, y] for v, y in zip(vectors, labels[rows], strict=True)]
            )
            if file == "text":
                write_rows(tmp_path / f"text_{part}.csv.gz", [[row, *v] for row, v in zip(rows, vectors, strict=True)])
    return tmp_path


def write_rows(path, rows):
    with gzip.open(path, "wt", encoding="utf-8", newline="") as lines:
        csv.writer(lines).writerows(rows)


def read_rows(path):
    with gzip.open(path, "rt", encoding="utf-8", newline="") as lines:
        return list(csv.reader(lines))


def mosi_refusal(folder):
    with pytest.raises(UserError) as caught:
        import_mosi(folder)
    return str(caught.value)


def test_mosi_becomes_a_corpus(mosi):
    corpus = import_mosi(mosi)
    assert len(corpus.dialogues) == 7
    assert [d.id for d in corpus.split("test")] == ["v_6"]
    assert len(corpus.split("validation")) == 1
    assert corpus.table["turn"].to_pylist() == [2, 10] * 7
    assert corpus.texts[:2] == ["V_0_2", "V_0_10"]
    written = {row[0]: row for row in read_rows(mosi / "text_train.csv.gz")}
    first = np.array(written["1"][1:], dtype=np.float64).astype(np.float32)
    assert np.array_equal(corpus.features("text")[0], first)
    assert list(corpus.card.widths.items()) == [("text", 3), ("audio", 2), ("visual", 4)]
    assert "validation" in corpus.card.split_note


def test_mosi_validation_does_not_hang_on_the_order_of_rows(mosi):
    before = [d.id for d in import_mosi(mosi).split("validation")]
    for path in mosi.glob("*_train*.csv.gz"):
        write_rows(path, read_rows(path)[::-1])
    assert [d.id for d in import_mosi(mosi).split("validation")] == before


def test_mosi_names_all_missing_files(mosi):
    (mosi / "audio_test0.csv.gz").unlink()
    (mosi / "transcripts.csv.gz").unlink()
    assert "lacks audio_test0.csv.gz, transcripts.csv.gz" in mosi_refusal(mosi)


def test_mosi_refuses_files_that_do_not_correspond(mosi):
    audio = read_rows(mosi / "audio_train0.csv.gz")
    audio[0][-1] = str(1 - int(audio[0][-1]))
    write_rows(mosi / "audio_train0.csv.gz", audio)
    text = read_rows(mosi / "text_train.csv.gz")
    text[3][1] = "99.0"
    write_rows(mosi / "text_train.csv.gz", text)
    message = mosi_refusal(mosi)
    assert "audio_train0.csv.gz and text_train0.csv.gz have different labels in 1 rows" in message
    assert "text_train.csv.gz and text_train0.csv.gz have different vectors" in message


def test_mosi_refuses_unequal_numbers_of_rows(mosi):
    write_rows(mosi / "video_test0.csv.gz", read_rows(mosi / "video_test0.csv.gz")[:1])
    assert "do not correspond, their numbers of rows are" in mosi_refusal(mosi)


def test_mosi_refuses_transcripts_of_another_order(mosi):
    rows = read_rows(mosi / "transcripts.csv.gz")
    write_rows(mosi / "transcripts.csv.gz", [[*row[:3], 1 - int(row[3])] for row in rows])
    assert "transcripts.csv.gz and text_train0.csv.gz have different labels in 12 rows" in mosi_refusal(mosi)
    write_rows(mosi / "transcripts.csv.gz", rows[:5])
    assert "points to row 11 of 5 transcripts" in mosi_refusal(mosi)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("audio_train0.csv.gz", [["1", "x"]], "must be a table of numbers"),
        ("audio_train0.csv.gz", [["1", "2"], ["1"]], "must be a table of numbers"),
        ("audio_train0.csv.gz", [], "must have rows of numbers"),
        ("transcripts.csv.gz", [["v_1", "text", "3"]], "must have four columns"),
        ("transcripts.csv.gz", [["v", "text", "3", "1"]], "must have four columns"),
    ],
)
def test_mosi_refuses_tables_of_another_kind(mosi, name, content, sentence):
    write_rows(mosi / name, content)
    assert sentence in mosi_refusal(mosi)


def test_mosi_refuses_a_file_that_is_not_gzip(mosi):
    (mosi / "audio_train0.csv.gz").write_bytes(b"1,2,3")
    assert "audio_train0.csv.gz cannot be read as gzipped CSV" in mosi_refusal(mosi)


def real(name):
    default = Path(__file__).parents[4] / "shared"
    folder = Path(os.environ.get("DFERC_SHARED", default)) / "data" / name
    if not folder.is_dir():
        pytest.skip(f"the real {name} is not at {folder}; set DFERC_SHARED")
    return folder


def logistic_regression(corpus, vectors, strength, fit_on):
    rows = np.concatenate([corpus.rows(split) for split in fit_on])
    test = corpus.rows("test")
    classifier = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=1000))
    said = classifier.fit(vectors[rows], corpus.labels[rows]).predict(vectors[test])
    return 100 * f1_score(corpus.labels[test], said, average="weighted")


@pytest.mark.real
def test_real_mosi_has_its_known_counts_and_floors():
    corpus = import_mosi(real("mosi"))
    assert [len(corpus.split(split)) for split in SPLITS] == [51, 11, 31]
    assert corpus.table.num_rows == 2199
    assert corpus.label_counts("test").tolist() == [285, 467]
    assert not {d.id for d in corpus.split("train")} & {d.id for d in corpus.split("validation")}
    floors = {"text": 75.35, "visual": 52.84}
    for name, floor in floors.items():
        assert logistic_regression(corpus, corpus.features(name), 1.0, ("train", "validation")) == pytest.approx(
            floor, abs=0.5
        )
    together = np.concatenate([corpus.features(name) for name in ("text", "audio", "visual")], axis=1)
    assert logistic_regression(corpus, together, 0.01, ("train", "validation")) == pytest.approx(76.95, abs=0.5)


@pytest.mark.real
def test_real_meld_has_its_known_counts_and_floor():
    corpus = import_meld(real("meld"), "all-minilm-l6-v2")
    assert [len(corpus.split(split)) for split in SPLITS] == [1038, 114, 280]
    assert corpus.label_counts("train").tolist() == [4710, 1205, 268, 683, 1743, 271, 1109]
    assert corpus.label_counts("test").tolist() == [1256, 281, 50, 208, 402, 68, 345]
    assert max(map(len, corpus.dialogues)) == 33
    train, test = corpus.rows("train"), corpus.rows("test")
    classifier = LogisticRegression(C=10.0, max_iter=300).fit(corpus.features("text")[train], corpus.labels[train])
    said = classifier.predict(corpus.features("text")[test])
    assert 100 * f1_score(corpus.labels[test], said, average="weighted") == pytest.approx(56.43, abs=0.5)
