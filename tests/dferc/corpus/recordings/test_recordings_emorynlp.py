"""EmoryNLP from its CSV files."""

import csv

import pytest

from dferc.corpus.published import EMORYNLP_LABELS
from dferc.corpus.recordings import read_emorynlp
from dferc.errors import UserError

COLUMNS = ["Utterance", "Speaker", "Emotion", "Scene_ID", "Utterance_ID", "Season", "Episode", "Start_Time", "End_Time"]


def row(text, speaker, emotion, scene, turn, episode=2):
    return [text, speaker, emotion, scene, turn, 1, episode, "00:00:02.877", "00:00:07.548"]


def write(folder, part, rows, columns=COLUMNS):
    with (folder / f"emorynlp_{part}_final.csv").open("w", encoding="utf-8", newline="") as lines:
        csv.writer(lines).writerows([columns, *rows])


@pytest.fixture
def emorynlp(tmp_path):
    rows = [
        row("Yeah, right!", "['Joey Tribbiani']", "Neutral", 1, 3),
        row('It\x92s "him"', '["Phoebe\'s Assistant"]', "Joyful", 1, 1),
        row("Hi!", "['Monica Geller', 'Ross Geller']", "Peaceful", 2, 1),
    ]
    write(tmp_path, "train", rows)
    write(tmp_path, "dev", [row("No.", "['Ross Geller']", "Mad", 1, 1, episode=15)])
    write(tmp_path, "test", [row("No?", "['Ross Geller']", "Scared", 1, 1, episode=1)])
    return tmp_path


def refusal(folder):
    with pytest.raises(UserError) as caught:
        read_emorynlp(folder)
    return str(caught.value)


def test_emorynlp_is_read(emorynlp):
    recordings = read_emorynlp(emorynlp)
    assert [(u.dialogue, u.turn, u.split) for u in recordings.utterances] == [
        ("s01_e01_c01", 1, "test"),
        ("s01_e02_c01", 1, "train"),
        ("s01_e02_c01", 3, "train"),
        ("s01_e02_c02", 1, "train"),
        ("s01_e15_c01", 1, "validation"),
    ]
    assert [u.label for u in recordings.utterances] == ["scared", "joyful", "neutral", "peaceful", "mad"]
    assert [u.speaker for u in recordings.utterances][1:4] == [
        "Phoebe's Assistant",
        "Joey Tribbiani",
        "Monica Geller, Ross Geller",
    ]
    assert recordings.utterances[1].text == 'It’s "him"'
    assert all(u.audio is None and u.video is None for u in recordings.utterances)
    assert (recordings.card.name, recordings.card.labels) == ("emorynlp", EMORYNLP_LABELS)
    assert recordings.card.repairs == (
        "1 of 5 utterances had a broken encoding, which is mended: the first is turn 1 of s01_e02_c01",
    )


@pytest.mark.parametrize(
    ("bad", "sentence"),
    [
        (row("a", "['Ross']", "Glad", 1, 1), "row 2 has the emotion 'Glad', must be one of joyful, mad"),
        (row("a", "Ross", "Mad", 1, 1), "row 2 has the speaker 'Ross', must be a list of names"),
        (row("a", "'Ross'", "Mad", 1, 1), "row 2 has the speaker \"'Ross'\""),
        (row("a", "[]", "Mad", 1, 1), "row 2 has the speaker '[]'"),
        (row("a", "[print(1)]", "Mad", 1, 1), "row 2 has the speaker '[print(1)]'"),
        (row("a", "(" * 9999, "Mad", 1, 1), "row 2 has the speaker '((((("),
        (row("a", "['Ross']", "Mad", "", 1), "row 2 has Scene_ID '', must be a whole number"),
    ],
)
def test_emorynlp_names_bad_rows(emorynlp, bad, sentence):
    write(emorynlp, "dev", [bad])
    assert sentence in refusal(emorynlp)


def test_emorynlp_refuses_overlapping_splits(emorynlp):
    write(emorynlp, "dev", [row("Again", "['Ross']", "Mad", 2, 7)])
    assert "dialogue 's01_e02_c02' is in train and validation, must be in one split" in refusal(emorynlp)


def test_emorynlp_names_missing_files_and_columns(emorynlp):
    write(emorynlp, "dev", [], COLUMNS[1:])
    assert "lacks the columns Utterance; take the emorynlp_*_final.csv" in refusal(emorynlp)
    (emorynlp / "emorynlp_test_final.csv").unlink()
    assert "lacks emorynlp_test_final.csv, which EmoryNLP needs" in refusal(emorynlp)
