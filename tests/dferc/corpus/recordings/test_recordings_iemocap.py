"""IEMOCAP from a miniature of its release: text files in its exact form, empty wave files and videos."""

from collections import Counter

import pytest

from dferc.corpus.published import IEMOCAP_LABELS
from dferc.corpus.recordings import read_iemocap
from dferc.errors import UserError

EVALUATION = """% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]

{lines}"""
OPINIONS = "C-E2:\tNeutral;\t()\nC-E3:\tNeutral;\t()\nA-E3:\tval 3; act 2; dom  2;\t()\n\n"
TURNS = {
    "F000": (6.2901, 8.2357, "neu", "Excuse me."),
    "F001": (20.0, 21.5, "xxx", "What?"),
    "M000": (7.5712, 10.475, "exc", "Do you have your forms?"),
    "M001": (22.0, 25.25, "hap", "[LAUGHTER] Good: at last."),
    "F002": (30.0, 31.0, "fru", None),
}
VALIDATION = "Ses01M_impro01"


def write_dialogue(root, dialogue, turns=TURNS, odd=""):
    session = root / f"Session{dialogue[4]}"
    evaluation = "".join(
        f"[{start:.4f} - {stop:.4f}]\t{dialogue}_{turn}\t{emotion}\t[2.5000, 2.5000, 2.5000]\n{OPINIONS}"
        for turn, (start, stop, emotion, _) in turns.items()
    )
    transcript = "".join(
        f"{dialogue}_{turn} [{start:08.4f}-{stop:08.4f}]: {text}\n"
        for turn, (start, stop, _, text) in turns.items()
        if text
    )
    put(session / "dialog" / "EmoEvaluation" / f"{dialogue}.txt", EVALUATION.format(lines=evaluation))
    put(session / "dialog" / "EmoEvaluation" / "Categorical" / f"{dialogue}_e2_cat.txt", "no evaluation")
    put(session / "dialog" / "transcriptions" / f"{dialogue}.txt", transcript + odd)
    put(session / "dialog" / "avi" / "DivX" / f"{dialogue}.avi")
    for turn in turns:
        put(session / "sentences" / "wav" / dialogue / f"{dialogue}_{turn}.wav")


def put(path, text=""):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode("cp1252"))
    path.with_name(f"._{path.name}").write_bytes(b"\x00\x05\x16\x07 macOS")


@pytest.fixture
def release(tmp_path):
    root = tmp_path / "IEMOCAP_full_release"
    for session in range(1, 6):
        write_dialogue(root, f"Ses0{session}F_script01_1")
    write_dialogue(root, VALIDATION, odd="M: [BREATHING]\nSes01M_impro01_MXX0 [031.0000-032.0000]: Café…\n")
    return root


def refusal(folder, **options):
    with pytest.raises(UserError) as caught:
        read_iemocap(folder, **options)
    return str(caught.value)


def test_iemocap_is_read_in_the_order_of_speech(release):
    recordings = read_iemocap(release)
    first = recordings.dialogues()["Ses01F_script01_1"]
    assert [(u.turn, u.speaker, u.label) for u in first] == [
        (0, "Ses01_F", "neutral"),
        (1, "Ses01_M", "excited"),
        (3, "Ses01_M", "happy"),
        (4, "Ses01_F", "frustrated"),
    ]
    assert [u.text for u in first] == ["Excuse me.", "Do you have your forms?", "[LAUGHTER] Good: at last.", None]
    session = release / "Session1"
    assert first[1].audio.path == str(
        session / "sentences" / "wav" / "Ses01F_script01_1" / "Ses01F_script01_1_M000.wav"
    )
    assert (first[1].audio.start, first[1].audio.stop) == (None, None)
    assert first[1].video.path == str(session / "dialog" / "avi" / "DivX" / "Ses01F_script01_1.avi")
    assert (first[1].video.start, first[1].video.stop, first[1].video.region) == (7.5712, 10.475, None)
    assert read_iemocap(release.parent).utterances == recordings.utterances


def test_iemocap_published_split_has_session_5_and_the_validation_dialogues(release):
    recordings = read_iemocap(release)
    splits = {u.dialogue: u.split for u in recordings.utterances}
    assert splits.pop("Ses05F_script01_1") == "test"
    assert splits.pop(VALIDATION) == "validation"
    assert set(splits.values()) == {"train"}
    assert (recordings.card.name, recordings.card.labels) == ("iemocap", IEMOCAP_LABELS)
    assert "release form" in recordings.card.licence
    assert len(recordings.card.files) == 10


@pytest.mark.parametrize(("test", "validation"), [(1, 2), (3, 4), (5, 1)])
def test_iemocap_session_splits_share_no_speaker(release, test, validation):
    recordings = read_iemocap(release, split=f"session-{test}")
    sessions = {
        split: {u.dialogue[:5] for u in recordings.utterances if u.split == split} for split in ("test", "validation")
    }
    assert sessions == {"test": {f"Ses0{test}"}, "validation": {f"Ses0{validation}"}}
    speakers = Counter(speaker for speaker, _ in {(u.speaker, u.split) for u in recordings.utterances})
    assert set(speakers.values()) == {1}
    assert len(speakers) == 10
    assert recordings.card.name == f"iemocap-session-{test}"


def test_iemocap_keeps_the_unlabelled_as_context_where_that_is_asked(release):
    dropped, kept = read_iemocap(release), read_iemocap(release, unlabelled="context")
    assert len(kept.utterances) - len(dropped.utterances) == 6
    labelled = [u for u in kept.utterances if u.label is not None]
    assert labelled == list(dropped.utterances)
    assert {u.turn for u in kept.utterances if u.label is None} == {2}
    assert dropped.card.repairs[0] == "6 of 30 utterances are left out for their label (6 xxx)"
    assert not any("left out" in repair for repair in kept.card.repairs)


def test_iemocap_four_classes_merge_excited_and_leave_out_frustrated(release):
    recordings = read_iemocap(release, labels="4-way")
    assert recordings.card.labels == ("happy", "sad", "neutral", "angry")
    assert recordings.card.name == "iemocap-4-way"
    assert [u.label for u in recordings.dialogues()["Ses01F_script01_1"]] == ["neutral", "happy", "happy"]
    assert "left out for their label (6 xxx, 6 fru)" in recordings.card.repairs[0]


@pytest.mark.parametrize(("markers", "actor", "other"), [("left", "left", "right"), ("right", "right", "left")])
def test_iemocap_halves_of_the_picture_follow_the_actor_with_the_markers(release, markers, actor, other):
    dialogues = read_iemocap(release, markers=markers).dialogues()
    of_woman = {u.speaker: u.video.region for u in dialogues["Ses01F_script01_1"]}
    of_man = {u.speaker: u.video.region for u in dialogues[VALIDATION]}
    assert of_woman == {"Ses01_F": actor, "Ses01_M": other}
    assert of_man == {"Ses01_F": other, "Ses01_M": actor}


def test_iemocap_says_what_is_odd_and_what_is_missing(release):
    (release / "Session2" / "dialog" / "avi" / "DivX" / "Ses02F_script01_1.avi").unlink()
    wave = release / "Session3" / "sentences" / "wav" / "Ses03F_script01_1" / "Ses03F_script01_1_M000.wav"
    wave.unlink()
    recordings = read_iemocap(release)
    assert recordings.dialogues()["Ses03F_script01_1"][1].audio is None
    assert {u.video for u in recordings.dialogues()["Ses02F_script01_1"]} == {None}
    _, odd, text, wave_file, video = recordings.card.repairs
    assert odd == (
        "2 of 56 lines of transcripts and evaluations belong to no evaluated utterance: "
        "the first is 'M: [BREATHING]' in Ses01M_impro01.txt"
    )
    assert text.startswith("6 of 24 utterances have no text in the transcripts and go without")
    assert wave_file.endswith("the first is turn 1 of Ses03F_script01_1")
    assert video.startswith("4 of 24 utterances have no video of their dialogue")


def test_iemocap_counts_evaluations_that_cannot_be_read(release):
    path = release / "Session4" / "dialog" / "EmoEvaluation" / "Ses04F_script01_1.txt"
    path.write_text(path.read_text().replace("[6.2901 - 8.2357]", "[6.2901 - ]"))
    recordings = read_iemocap(release)
    assert recordings.card.repairs[1].startswith("4 of 56 lines of transcripts and evaluations belong to no evaluated")
    assert len(recordings.utterances) == 23


def test_iemocap_refuses_what_it_cannot_be(release):
    write_dialogue(release, "Ses02F_impro01", {"F000": (1.0, 2.0, "joy", "Hi")})
    assert "Ses02F_impro01_F000 has the emotion 'joy', must be one of hap, sad" in refusal(release)
    assert "has no split 'session-6', must be one of published, session-1" in refusal(release, split="session-6")
    assert "has no labels '5-way', must be one of 6-way, 4-way" in refusal(release, labels="5-way")
    for path in (release / "Session3" / "dialog" / "transcriptions").glob("Ses*"):
        path.unlink()
    assert "lacks Session3/dialog/transcriptions: name the folder IEMOCAP_full_release" in refusal(release)
