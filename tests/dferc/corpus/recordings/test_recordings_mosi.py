"""CMU-MOSI in MMSA's layout."""

import csv

import pytest

from dferc.corpus.recordings import read_mosi
from dferc.errors import UserError

COLUMNS = ["video_id", "clip_id", "text", "label", "label_T", "label_A", "label_V", "annotation", "mode"]
ROWS = [
    ["03bSnISJMiM", "11", "A LOT OF SAD PARTS", "-1", "", "", "", "Negative", "train"],
    ["03bSnISJMiM", "2", "IT WAS OK", "0.0", "", "", "", "Neutral", "train"],
    ["-mJ2ud6oKI8", "1", "GREAT", "2.4", "", "", "", "Positive", "valid"],
    ["_dI--eQ6qVU", "1", "BAD", "-3.0", "", "", "", "Negative", "test"],
]


def write(folder, rows, columns=COLUMNS):
    with (folder / "label.csv").open("w", encoding="utf-8", newline="") as lines:
        csv.writer(lines).writerows([columns, *rows])


@pytest.fixture
def mosi(tmp_path):
    write(tmp_path, ROWS)
    for video, clip, *_ in ROWS[:3]:
        path = tmp_path / "Raw" / video / f"{clip}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return tmp_path


def refusal(folder):
    with pytest.raises(UserError) as caught:
        read_mosi(folder)
    return str(caught.value)


def test_mosi_is_read_with_its_clips(mosi):
    recordings = read_mosi(mosi)
    assert [(u.dialogue, u.turn, u.split, u.label) for u in recordings.utterances] == [
        ("-mJ2ud6oKI8", 1, "validation", "positive"),
        ("03bSnISJMiM", 2, "train", "positive"),
        ("03bSnISJMiM", 11, "train", "negative"),
        ("_dI--eQ6qVU", 1, "test", "negative"),
    ]
    assert recordings.utterances[2].video.path == str(mosi / "Raw" / "03bSnISJMiM" / "11.mp4")
    assert recordings.utterances[2].audio == recordings.utterances[2].video
    assert recordings.utterances[2].text == "A LOT OF SAD PARTS"
    assert recordings.utterances[3].video is None
    assert {u.speaker for u in recordings.utterances} == {u.dialogue for u in recordings.utterances}
    assert (recordings.card.name, recordings.card.labels) == ("mosi", ("negative", "positive"))
    assert list(recordings.card.files) == ["label.csv"]
    assert recordings.card.repairs == (
        "1 of 4 utterances have no clip Raw/VIDEO/CLIP.mp4 and go without audio and video: "
        "the first is turn 1 of _dI--eQ6qVU",
    )


def test_mosi_leaves_zero_without_a_label_where_that_is_asked(mosi):
    recordings = read_mosi(mosi, zero="context")
    assert [u.label for u in recordings.utterances] == ["positive", None, "negative", "negative"]
    assert "a score of 0 is context" in recordings.card.split_note


@pytest.mark.parametrize(
    ("column", "value", "sentence"),
    [
        ("clip_id", "one", "row 5 has clip_id 'one', must be a whole number"),
        ("video_id", " ", "row 5 has no video_id"),
        ("mode", "dev", "row 5 has the mode 'dev', must be one of train, valid, test"),
        ("label", "good", "row 5 has the label 'good', must be a number from -3 to 3"),
        ("label", "nan", "row 5 has the label 'nan'"),
        ("label", "3.1", "row 5 has the label '3.1'"),
    ],
)
def test_mosi_names_bad_rows(mosi, column, value, sentence):
    bad = [value if name == column else cell for name, cell in zip(COLUMNS, ROWS[3], strict=True)]
    write(mosi, [*ROWS[:3], bad])
    assert sentence in refusal(mosi)


def test_mosi_refuses_what_is_not_its_layout(mosi):
    write(mosi, [], COLUMNS[1:])
    assert "lacks the columns video_id; take the label.csv" in refusal(mosi)
    write(mosi, [])
    assert "holds no utterance" in refusal(mosi)
    (mosi / "label.csv").unlink()
    assert "lacks label.csv, which MOSI needs" in refusal(mosi)
