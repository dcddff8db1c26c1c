"""MELD from its transcripts and clips: a miniature of the archive, and the real transcripts."""

import csv
import hashlib
import os
from collections import Counter
from pathlib import Path

import pytest

from dferc.corpus.importers import import_meld
from dferc.corpus.published import MELD_LABELS, PUBLISHED
from dferc.corpus.recordings import LAYOUTS, read_meld
from dferc.errors import UserError

COLUMNS = [
    "Sr No.", "Utterance", "Speaker", "Emotion", "Sentiment", "Dialogue_ID", "Utterance_ID", "Season", "Episode",
    "StartTime", "EndTime",
]  # fmt: skip
TIMES = ["00:00:01,500", "0:00:04,5"]


def row(text, speaker, emotion, dialogue, turn, times=TIMES):
    return [1, text, speaker, emotion, "neutral", dialogue, turn, 1, 1, *times]


ROWS = [
    row("It\x92s mine", "Ross", "joy", 7, 2),
    row("No!", "Rachel ", "anger", 7, 0),
    row("Bye", "Ross", "neutral", 8, 0, ["0:00:04,5", "00:00:04,500"]),
]


def write(folder, part, rows, columns=COLUMNS):
    with (folder / f"{part}_sent_emo.csv").open("w", encoding="utf-8", newline="") as lines:
        csv.writer(lines).writerows([columns, *rows])


def put(*paths):
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


@pytest.fixture
def meld(tmp_path):
    """MELD.Raw as it is unpacked: clips in other folders a split, some twice, some hidden."""
    for part in ("train", "dev", "test"):
        write(tmp_path, part, ROWS)
    clips = [f"dia{d}_utt{u}.mp4" for d, u in ((7, 2), (7, 0), (8, 0))]
    put(*(tmp_path / "train" / "train_splits" / name for name in clips))
    put(*(tmp_path / "dev_splits_complete" / name for name in clips[1:]))
    put(*(tmp_path / "output_repeated_splits_test" / name for name in clips))
    put(tmp_path / "output_repeated_splits_test" / "final_videos_testdia7_utt2.mp4")
    put(tmp_path / "dev_splits_complete" / "._dia7_utt2.mp4", tmp_path / "dev_splits_complete" / "dia66_utt9.mp4")
    return tmp_path


def refusal(folder):
    with pytest.raises(UserError) as caught:
        read_meld(folder)
    return str(caught.value)


def test_meld_is_read_with_its_clips(meld):
    recordings = read_meld(meld)
    train = [u for u in recordings.utterances if u.split == "train"]
    assert [(u.dialogue, u.turn) for u in train] == [("train-0007", 0), ("train-0007", 2), ("train-0008", 0)]
    assert [u.speaker for u in train] == ["Rachel", "Ross", "Ross"]
    assert [u.label for u in train] == ["anger", "joy", "neutral"]
    assert train[1].text == "It’s mine"
    assert train[1].audio == train[1].video
    assert train[1].video.path == str(meld / "train" / "train_splits" / "dia7_utt2.mp4")
    assert (train[1].video.start, train[1].video.stop, train[1].video.region) == (None, None, None)
    assert sorted(recordings.dialogues()) == sorted(
        f"{split}-{number:04d}" for split in ("train", "validation", "test") for number in (7, 8)
    )


def test_meld_clips_belong_to_the_split_of_their_folder(meld):
    where = {u.split: Path(u.video.path).parent.name for u in read_meld(meld).utterances if u.video}
    assert where == {
        "train": "train_splits",
        "validation": "dev_splits_complete",
        "test": "output_repeated_splits_test",
    }


def test_meld_says_what_it_mended_and_what_is_missing(meld):
    recordings = read_meld(meld)
    hidden = next(u for u in recordings.utterances if (u.dialogue, u.turn) == ("validation-0007", 2))
    assert hidden.video is hidden.audio is None
    recut = next(u for u in recordings.utterances if (u.dialogue, u.turn) == ("test-0007", 2))
    assert Path(recut.video.path).name == "final_videos_testdia7_utt2.mp4"
    mended, times, clips, twice = recordings.card.repairs
    assert mended == "3 of 9 utterances had a broken encoding, which is mended: the first is train dia7_utt2"
    assert times.startswith("3 of 9 utterances last 0 seconds or more than 60")
    assert times.endswith("the first is train dia8_utt0")
    assert clips == "1 of 9 utterances have no clip and go without audio and video: the first is dev dia7_utt2"
    assert twice.startswith("1 clips are taken from final_videos_testdia")


def test_meld_card_says_where_it_comes_from(meld):
    card = read_meld(meld).card
    assert (card.name, card.labels, card.modalities) == ("meld", MELD_LABELS, {})
    assert "GPL-3.0" in card.licence
    assert card.files["dev_sent_emo.csv"] == hashlib.sha256((meld / "dev_sent_emo.csv").read_bytes()).hexdigest()


def test_meld_names_all_missing_files(meld, tmp_path):
    (meld / "dev_sent_emo.csv").unlink()
    (meld / "test_sent_emo.csv").rename(meld / "._test_sent_emo.csv")
    assert "lacks dev_sent_emo.csv, test_sent_emo.csv, which MELD needs" in refusal(meld)
    assert "there is no folder" in refusal(tmp_path / "absent")


def test_meld_names_bad_rows(meld):
    write(meld, "train", [row("a", "Ross", "glee", 0, 0), *[row("b", "Ross", "joy", "x", "-1")] * 11])
    message = refusal(meld)
    assert "row 2 has the emotion 'glee', must be one of neutral, surprise" in message
    assert "row 3 has Dialogue_ID 'x', must be a whole number" in message
    assert "row 3 has Utterance_ID '-1'" in message
    assert "and 13 more" in message
    assert "has 23 problems" in message


def test_meld_refuses_a_turn_that_occurs_twice(meld):
    write(meld, "dev", [*ROWS, ROWS[0]])
    assert "turn 2 of dialogue 'validation-0007' occurs 2 times, must be once" in refusal(meld)


def test_meld_refuses_other_tables(meld):
    write(meld, "dev", [], ["Utterance", "Speaker"])
    assert "lacks the columns Dialogue_ID, Emotion, Utterance_ID; take the *_sent_emo.csv" in refusal(meld)
    (meld / "dev_sent_emo.csv").write_bytes(b"Utterance\n\xff\xfe\n")
    assert "is not in UTF-8, save it as CSV in UTF-8" in refusal(meld)


def test_every_layout_has_a_reader_that_refuses_an_empty_folder(tmp_path):
    assert set(LAYOUTS) == {"meld", "iemocap", "emorynlp", "mosi", "own"}
    for read in LAYOUTS.values():
        with pytest.raises(UserError, match=r"lacks|must be a table"):
            read(tmp_path)


@pytest.fixture(scope="module")
def real_meld():
    default = Path(__file__).parents[5] / "shared"
    folder = Path(os.environ.get("DFERC_SHARED", default)) / "data" / "meld"
    if not folder.is_dir():
        pytest.skip(f"the real meld is not at {folder}; set DFERC_SHARED")
    return folder


@pytest.mark.real
def test_real_meld_has_its_published_counts(real_meld):
    recordings = read_meld(real_meld)
    for split, counts in PUBLISHED["meld"].classes.items():
        found = Counter(u.label for u in recordings.utterances if u.split == split)
        assert tuple(found[label] for label in MELD_LABELS) == counts
    dialogues = recordings.dialogues()
    assert Counter(d.split("-")[0] for d in dialogues) == {"train": 1038, "validation": 114, "test": 280}
    assert "train-0060" not in dialogues
    gaps = [d for d, found in dialogues.items() if [u.turn for u in found] != list(range(len(found)))]
    assert sum(d.startswith("train") for d in gaps) == 72
    assert all(u.audio is None and u.video is None for u in recordings.utterances)
    times, clips = recordings.card.repairs
    assert times.startswith("3 of 13708 utterances last 0 seconds or more than 60")
    assert clips.startswith("13708 of 13708 utterances have no clip")


@pytest.mark.real
def test_real_meld_is_what_the_importer_gives(real_meld):
    corpus = import_meld(real_meld, "all-minilm-l6-v2")
    names = ("dialogue", "turn", "speaker", "split", "text")
    imported = [tuple(row.values()) for row in corpus.table.select(names).to_pylist()]
    labels = [corpus.card.labels[label] for label in corpus.labels]
    utterances = read_meld(real_meld).utterances
    assert [tuple(getattr(u, name) for name in names) for u in utterances] == imported
    assert [u.label for u in utterances] == labels
