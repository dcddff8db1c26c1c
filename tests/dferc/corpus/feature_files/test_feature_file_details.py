"""What becomes of the finer things in feature files: labels, splits, speakers, turns, numbers, the card."""

import json

import numpy as np
import pytest

from dferc.corpus.importers.feature_files import import_feature_files
from dferc.corpus.published import PUBLISHED
from dferc.errors import UserError

TEST_DIALOGUES = PUBLISHED["iemocap"].dialogues["test"]
TEST_CLASSES = PUBLISHED["iemocap"].classes["test"]
DIALOGXL_ORDER = ("excited", "neutral", "frustrated", "sad", "happy", "angry")


def changed(writer, layout, folder, index, change):
    """The path of a file of one layout in which one field was changed."""
    _, contents = writer.make(layout)
    name, content = next(iter(contents.items()))
    fields = list(content)
    fields[index] = change(fields[index])
    return writer.write(folder, {name: tuple(fields)})


def test_validation_is_cut_out_of_train(writer, tmp_path):
    _, contents = writer.make("mmgcn-iemocap")
    corpus = import_feature_files(writer.write(tmp_path, contents))
    assert {d.id for d in corpus.split("validation")} == {"Ses01M_impro01", "Ses04F_impro07"}
    assert "the 2 of COSMIC's 12 dialogues that are in the file" in corpus.card.split_note


def test_no_validation_is_cut_where_none_was_published(writer, tmp_path):
    _, contents = writer.make("mmgcn-iemocap", dialogues=["Ses01F_impro01", "Ses05F_impro02"])
    corpus = import_feature_files(writer.write(tmp_path, contents))
    assert not corpus.split("validation")
    assert "there is no validation" in corpus.card.split_note


def test_a_validation_of_its_own_is_kept(writer, tmp_path):
    """COGMEN's dev is no published one; the card says whose it is."""
    _, contents = writer.make("corect-iemocap")
    parts = contents["a.pkl"]
    parts["dev"], parts["train"] = parts["train"][:1], parts["train"][1:] + parts["dev"]
    corpus = import_feature_files(writer.write(tmp_path, contents))
    assert [d.id for d in corpus.split("validation")] == ["Ses02F_script01_3"]
    assert "the file's own dev" in corpus.card.split_note


@pytest.mark.parametrize("corpus", ["iemocap", "meld"])
def test_an_empty_validation_is_none(corpus, writer, tmp_path):
    """It is restored out of train, as in files that have no validation at all."""
    _, contents = writer.make(f"cosmic-{corpus}")
    fields = contents["roberta.pkl"]
    fields[-3], fields[-1] = fields[-3] + fields[-1], []
    imported = import_feature_files(writer.write(tmp_path, contents))
    assert len(imported.split("validation")) == 2
    assert "out of the file's train" in imported.card.split_note


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("It\x92s", "It’s"),  # Windows-1252 read as Latin-1
        ("Itâ€™s", "It’s"),  # UTF-8 read as Windows-1252
        ("It\xe2\x80\x99s", "It’s"),  # UTF-8 read as Latin-1: a string of Python 2
        ("\ud83d\ude00", "😀"),  # two halves, as Python 2 wrote them in protocol 0
        ("a\ud800b", "a\ufffdb"),  # half a character
    ],
)
def test_broken_encodings_are_repaired(written, meant, writer, tmp_path):
    paths = changed(
        writer, "mmgcn-iemocap", tmp_path, 6, lambda f: {d: [written] * len(texts) for d, texts in f.items()}
    )
    corpus = import_feature_files(paths)
    assert set(corpus.texts) == {meant}
    assert corpus.card.repairs == ("17 texts in a broken encoding were repaired",)


def test_joined_files_follow_the_one_that_has_a_validation(writer, tmp_path):
    _, contents = writer.make("m3net-iemocap")
    roberta = contents["roberta.pkl"]
    roberta[-1], roberta[-3] = (
        ["Ses01F_impro01"],
        [*roberta[-3][:0], "Ses02F_script01_3", "Ses04M_impro05"] + roberta[-1],
    )
    corpus = import_feature_files(writer.write(tmp_path, contents))
    assert [d.id for d in corpus.split("validation")] == ["Ses01F_impro01"]
    assert any("text of MMGCN's IEMOCAP file gave way" in repair for repair in corpus.card.repairs)


def test_turns_come_from_utterance_numbers(writer, tmp_path):
    """MELD's numbers have gaps; elsewhere the place is the turn."""
    names = {0: ["dia0_utt1", "dia0_utt4"], 59: [3, 7, 8], 61: ["utt5", "utt2", "utt3", "utt9"]}
    paths = changed(writer, "mmgcn-meld", tmp_path, 0, lambda ids: ids | names)
    corpus = import_feature_files(paths)
    turns = {d.id: corpus.table["turn"][d.start : d.stop].to_pylist() for d in corpus.dialogues}
    assert (turns["train-0000"], turns["train-0059"], turns["train-0061"]) == ([1, 4], [3, 7, 8], [0, 1, 2, 3])


def test_numbers_beyond_float32_are_told(writer, tmp_path):
    paths = changed(
        writer,
        "mmgcn-iemocap",
        tmp_path,
        4,
        lambda f: {d: [v.astype(np.float64) / 3 for v in rows] for d, rows in f.items()},
    )
    repairs = import_feature_files(paths).card.repairs
    assert any("numbers of audio were kept with more digits than float32 has" in repair for repair in repairs)


def test_vectors_with_nan_are_missing(writer, tmp_path):
    def spoil(field):
        field["Ses02F_script01_3"][1][7] = np.nan
        field["Ses05F_impro02"][0][0] = -np.inf
        return field

    corpus = import_feature_files(changed(writer, "mmgcn-iemocap", tmp_path, 5, spoil))
    assert int((~corpus.present("visual")).sum()) == 2
    assert any(repair.startswith("2 vectors of visual held numbers that are NaN") for repair in corpus.card.repairs)


def test_speakers_claim_no_identity_that_is_not_known(writer, tmp_path):
    _, contents = writer.make("sdt-meld")
    corpus = import_feature_files(writer.write(tmp_path, contents))
    owners = {}
    for dialogue in corpus.dialogues:
        for name in corpus.speakers[dialogue.start : dialogue.stop]:
            assert owners.setdefault(name, dialogue.id) == dialogue.id
    assert "the same person has other names in other dialogues" in corpus.card.speaker_note


def whole_test(writer, order):
    """IEMOCAP's test dialogues with the published class counts, numbered in some order, one vector for all."""
    names = [name for name, count in zip(PUBLISHED["iemocap"].labels, TEST_CLASSES, strict=True) for _ in range(count)]
    parts = np.array_split([order.index(name) for name in names], TEST_DIALOGUES)
    labels = {f"Ses05F_impro{i:02d}": part.tolist() for i, part in enumerate(parts)}
    vector = np.ones(1024, np.float32)
    fields = [{d: [entry] * len(part) for d, part in labels.items()} for entry in (0, vector, "", "")]
    return {"a.pkl": (fields[0], labels, fields[1], *fields[2:], fields[2], [], list(labels), [])}


def test_whole_files_must_bear_out_the_order_of_labels(writer, tmp_path):
    corpus = import_feature_files(writer.write(tmp_path, whole_test(writer, PUBLISHED["iemocap"].labels)))
    assert tuple(corpus.label_counts("test")) == TEST_CLASSES
    with pytest.raises(
        UserError, match="say that they are 0 excited, 1 neutral, 2 frustrated, 3 sad, 4 happy, 5 angry"
    ):
        import_feature_files(writer.write(tmp_path, whole_test(writer, DIALOGXL_ORDER)))


def test_whole_files_must_have_every_class(writer, tmp_path):
    contents = whole_test(writer, PUBLISHED["iemocap"].labels)
    merged = {d: [label % 4 for label in labels] for d, labels in contents["a.pkl"][1].items()}
    contents["a.pkl"] = (contents["a.pkl"][0], merged, *contents["a.pkl"][2:])
    with pytest.raises(UserError, match=r"all of test is there, yet no label 4 \(excited\), 5 \(frustrated\)"):
        import_feature_files(writer.write(tmp_path, contents))


def utterances(dialogues):
    """DAG-ERC's JSON, one utterance a dialogue."""
    cls = [0.5] * 1024
    return [[{"text": "Hm.", "speaker": f"{d}_F", "label": "neu", "cls": cls}] for d in dialogues]


def test_whole_files_of_a_split_need_no_word_on_it(tmp_path):
    names = {
        "x": [f"Ses05F_impro{i:02d}" for i in range(31)],
        "y": [f"Ses04F_impro{i:02d}" for i in range(20)],
        "z": [f"Ses01F_impro{i:03d}" for i in range(100)],
    }
    for name, dialogues in names.items():
        (tmp_path / name).write_text(json.dumps(utterances(dialogues)))
    corpus = import_feature_files([tmp_path])
    assert {split: len(corpus.split(split)) for split in ("train", "validation", "test")} == {
        "train": 100, "validation": 20, "test": 31,
    }  # fmt: skip
    assert set(corpus.speakers) == {"Ses05_F", "Ses04_F", "Ses01_F"}


def test_part_of_a_split_must_be_named(tmp_path):
    path = tmp_path / "train_data_roberta.json.feature"
    path.write_text(json.dumps(utterances(["Ses01F_impro01"])))
    with pytest.raises(
        UserError, match=r"does not say which split it is: it has 1 dialogues where whole files have 100"
    ):
        import_feature_files([path])
    with pytest.raises(UserError, match="is in the file of test, but test is session 5"):
        import_feature_files([path], splits={"test": path})
    with pytest.raises(UserError, match="one file cannot be several splits"):
        import_feature_files([], splits={"train": path, "validation": path})
    assert len(import_feature_files([], splits={"train": path}).split("train")) == 1


def test_two_files_of_one_split_are_refused(tmp_path):
    paths = [tmp_path / "a", tmp_path / "b"]
    for path, session in zip(paths, (5, 5), strict=True):
        path.write_text(json.dumps(utterances([f"Ses0{session}F_impro{i:02d}" for i in range(31)])))
    with pytest.raises(UserError, match="are both test: name the file of each split"):
        import_feature_files(paths)


def test_splits_are_for_files_that_do_not_say_them(writer, tmp_path):
    _, contents = writer.make("mmgcn-iemocap")
    [path] = writer.write(tmp_path, contents)
    with pytest.raises(UserError, match="says its splits itself"):
        import_feature_files([], splits={"test": path})
