"""A user's own conversations: what a table becomes, and everything that is refused."""

import csv
import json
import re
from collections import Counter
from pathlib import Path

import pytest

from dferc.corpus.recordings import Clip, read_own
from dferc.errors import UserError

LABELS = ("calm", "upset")
ROWS = [
    {"dialogue": "a", "turn": 1, "speaker": "Ann", "text": "Hello", "label": "calm", "split": "train",
     "media": "a.mp4", "start": 0.5, "stop": 1.25, "region": "left"},
    {"dialogue": "a", "turn": 3, "speaker": "Bob", "text": "", "label": "", "split": "train",
     "media": "a.mp4", "start": 1.25, "audio": "talk/bob.wav"},
    {"dialogue": "b", "turn": 0, "speaker": "Ann", "text": "No, \"never\"", "label": "upset", "split": "test"},
]  # fmt: skip


def write_csv(folder, rows, name="utterances.csv"):
    columns = list(dict.fromkeys(column for row in rows for column in row))
    with (folder / name).open("w", encoding="utf-8-sig", newline="") as lines:
        writer = csv.DictWriter(lines, columns)
        writer.writeheader()
        writer.writerows(rows)


def write_json(folder, rows, name="utterances.jsonl"):
    (folder / name).write_text("\n\n".join(json.dumps(row) for row in rows), encoding="utf-8")


@pytest.fixture
def own(tmp_path):
    folder = tmp_path / "clinic"
    (folder / "talk").mkdir(parents=True)
    (folder / "a.mp4").write_bytes(b"")
    (folder / "talk" / "bob.wav").write_bytes(b"")
    write_csv(folder, ROWS)
    return folder


def refusal(path, labels=LABELS):
    with pytest.raises(UserError) as caught:
        read_own(path, labels=labels)
    return str(caught.value)


@pytest.mark.parametrize("write", [write_csv, write_json])
def test_a_table_becomes_recordings(own, write):
    (own / "utterances.csv").unlink()
    write(own, ROWS)
    recordings = read_own(own, labels=LABELS)
    first, second, third = recordings.utterances
    assert (first.dialogue, first.turn, first.speaker, first.split) == ("a", 1, "Ann", "train")
    assert (first.label, first.text) == ("calm", "Hello")
    assert first.audio == Clip(str(own / "a.mp4"), 0.5, 1.25)
    assert first.video == Clip(str(own / "a.mp4"), 0.5, 1.25, "left")
    assert (second.label, second.text) == (None, None)
    assert second.audio == Clip(str(own / "talk" / "bob.wav"), 1.25)
    assert second.video == Clip(str(own / "a.mp4"), 1.25)
    assert (third.audio, third.video, third.text) == (None, None, 'No, "never"')
    assert recordings.card.name == "clinic"


def test_corpus_yaml_says_what_the_corpus_is(own):
    (own / "corpus.yaml").write_text("name: triage\nlabels: [upset, calm]\nlicence: internal\nsource: room 4, 2024\n")
    card = read_own(own / "utterances.csv").card
    assert (card.name, card.labels, card.licence, card.source) == (
        "triage",
        ("upset", "calm"),
        "internal",
        "room 4, 2024",
    )
    assert list(card.files) == ["utterances.csv", "corpus.yaml"]
    assert read_own(own, labels=LABELS).card.labels == LABELS


def test_conversations_without_labels_are_all_test(own):
    write_csv(own, [{k: v for k, v in row.items() if k not in ("label", "split")} for row in ROWS], "today.csv")
    recordings = read_own(own / "today.csv", labels=LABELS)
    assert {(u.split, u.label) for u in recordings.utterances} == {("test", None)}
    assert recordings.card.name == "today"
    message = refusal(own / "today.csv", labels=None)
    assert "today.csv has no list of labels: give two or more different ones" in message
    assert "those of the model that is to predict; --like gives them" in message


def test_splits_are_cut_by_shares_whatever_the_order(own):
    rows = [
        {"dialogue": f"d{i}", "turn": t, "speaker": "x", "text": "y", "label": "calm"}
        for i in range(10)
        for t in (0, 1)
    ]
    (own / "corpus.yaml").write_text("shares: {validation: 0.1, test: 0.2}\n")
    write_csv(own, rows)
    cut = {u.dialogue: u.split for u in read_own(own, labels=LABELS).utterances}
    assert Counter(cut.values()) == {"train": 7, "validation": 1, "test": 2}
    write_csv(own, rows[::-1])
    assert {u.dialogue: u.split for u in read_own(own, labels=LABELS).utterances} == cut


def test_labelled_conversations_need_splits(own):
    write_csv(own, [{k: v for k, v in row.items() if k != "split"} for row in ROWS])
    assert "add a column split with train, validation or test" in refusal(own)


def test_labels_must_be_given(own):
    assert "(in its rows: calm, upset)" in refusal(own, labels=None)
    assert "has the list of labels [calm, calm]: give two or more different ones" in refusal(own, ("calm", "calm"))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"dialogue": " "}, "row 4 has no dialogue"),
        ({"speaker": ""}, "row 4 has no speaker"),
        ({"turn": "1.0"}, "row 4 has turn '1.0', must be a whole number"),
        ({"turn": "9999999999"}, "row 4 has turn '9999999999', must be a whole number of less than 10 digits"),
        ({"label": "Calm"}, "row 4 has the label 'Calm', must be one of calm, upset"),
        ({"split": "dev"}, "row 4 has the split 'dev', must be one of train, validation, test"),
        ({"split": ""}, "row 4 has the split '', must be one of train, validation, test"),
        ({"region": "top"}, "row 4 has the region 'top', must be one of left, right"),
        ({"start": "-1"}, "row 4 has start '-1', must be seconds"),
        ({"start": "0:12"}, "row 4 has start '0:12', must be seconds"),
        ({"stop": "inf"}, "row 4 has stop 'inf', must be seconds"),
        ({"start": "2", "stop": "2"}, "row 4 stops at 2, must be after its start at 2"),
        ({"stop": "0"}, "row 4 stops at 0, must be after its start at 0"),
        ({"video": "b.mp4"}, "row 4 has the video 'b.mp4', but there is no file"),
        ({"media": "so " * 200}, "row 4 has the media 'so so "),
        ({"audio": "https://example.org/b.wav"}, "must be a file on this machine: download it first"),
        ({"dialogue": "a", "split": "train", "turn": 3}, "row 4 repeats turn 3 of dialogue 'a', which is row 3"),
        ({"dialogue": "a"}, "row 4 has the split 'test', but its dialogue is in another by row 2"),
    ],
)
def test_bad_rows_are_named(own, change, sentence):
    write_csv(own, [*ROWS[:2], ROWS[2] | change])
    assert sentence in refusal(own)


def test_all_problems_are_named_at_once(own):
    write_csv(own, [ROWS[0] | {"label": "glad"}, ROWS[1] | {"turn": "x", "media": "c.mp4"}, ROWS[2]])
    message = refusal(own)
    assert "has 3 problems" in message
    assert all(word in message for word in ("row 2 has the label 'glad'", "row 3 has turn 'x'", "'c.mp4'"))


def test_of_many_problems_the_first_are_named(own):
    write_csv(own, [ROWS[2] | {"turn": turn, "label": "glad"} for turn in range(30)])
    message = refusal(own)
    assert "has 30 problems" in message
    assert message.endswith("and 20 more")


def test_empty_rows_of_spreadsheets_are_skipped_and_counted(own):
    write_csv(own, [ROWS[0], {}, ROWS[2], {}])
    assert len(read_own(own, labels=LABELS).utterances) == 2
    write_csv(own, [ROWS[0], {}, ROWS[2] | {"speaker": ""}])
    assert "row 4 has no speaker" in refusal(own)


def test_lines_of_json_end_where_files_say_and_not_inside_texts(own):
    (own / "utterances.csv").unlink()
    text = "one\u2028two\u0085three"
    lines = [json.dumps(ROWS[2] | {"turn": turn, "text": text}, ensure_ascii=False) for turn in (0, 1)]
    (own / "utterances.jsonl").write_text("\r\n".join(lines), encoding="utf-8")
    assert [u.text for u in read_own(own, labels=LABELS).utterances] == [text, text]


def test_files_elsewhere_may_be_named(own, tmp_path):
    (tmp_path / "elsewhere.wav").write_bytes(b"")
    write_csv(
        own, [ROWS[2] | {"audio": "../elsewhere.wav"}, ROWS[2] | {"turn": 1, "audio": str(tmp_path / "elsewhere.wav")}]
    )
    for utterance in read_own(own, labels=LABELS).utterances:
        assert utterance.audio.path.endswith("elsewhere.wav")


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("t.csv", "dialogue,turn\na,1\n", "lacks the columns speaker; each utterance needs"),
        ("t.csv", "dialogue,turn,speaker,lable\na,1,x,calm\n", "column 'lable' is unknown, must be one of dialogue"),
        ("t.csv", "dialogue,turn,speaker,\na,1,x,\n", "column '' is unknown"),
        ("t.csv", "dialogue,turn,speaker,turn\na,1,x,2\n", "column 'turn' occurs twice"),
        ("t.csv", "dialogue;turn;speaker\na;1;x\n", "header is one column, 'dialogue;turn;speaker': commas must"),
        ("t.csv", "", "lacks the columns dialogue, speaker, turn; each utterance needs"),
        ("t.csv", 'dialogue,turn,speaker\na,1,"x\nb,1,x\n', "(unexpected end of data): is a quotation mark left open?"),
        ("t.csv", "dialogue,turn,speaker\na,1,x,calm\n", "row 2 has more cells than the header: put text with commas"),
        ("t.csv", "dialogue,turn,speaker\n", "holds no utterance"),
        ("t.jsonl", "", "holds no utterance"),
        ("t.jsonl", '{"dialogue": "a"', "row 1 is no JSON"),
        ("t.jsonl", "[" * 100_000, "row 1 is no JSON"),
        ("t.jsonl", '["a"]', "row 1 is no JSON object"),
        ("t.jsonl", '{"dialogue": {"id": 1}}', "row 1 has dialogue {'id': 1}, must be text or a number"),
        ("t.jsonl", '{"dialogue": "a", "turn": 1}', "row 1 has no speaker"),
        ("t.json", "[]", "is neither .csv nor .jsonl"),
    ],
)
def test_tables_of_another_kind_are_refused(tmp_path, name, content, sentence):
    (tmp_path / name).write_text(content)
    assert sentence in refusal(tmp_path / name)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("labels: [a, b", "is no YAML"),
        ("lables: [a, b]", "lables is unknown; did you mean labels?"),
        ("colour: red", "colour is unknown; known are labels, licence, name"),
        ("labels: [yes, no]", "labels.0 = True must be text: write it in quotes"),
        ("- calm\n- upset\n", "must hold names and values, as `labels: [calm, upset]` does"),
        ("shares: {validation: 0, test: 2}", "has 2 problems"),
        ("shares: {validation: 0.1, test: 0.1, tset: 0.1}", "corpus.yaml: shares.tset is unknown"),
        ("shares: {validation: 0.5, test: 0.5}", "validation and test together must be less than 1"),
    ],
)
def test_corpus_yaml_of_another_kind_is_refused(own, content, sentence):
    (own / "corpus.yaml").write_text(content)
    message = refusal(own)
    assert sentence in message
    assert "corpus.yaml" in message


def test_a_folder_needs_one_table(own):
    write_json(own, ROWS)
    assert "and it has both" in refusal(own)
    assert "and it has neither of them" in refusal(own / "talk")
    assert refusal(own / "nowhere").startswith("there is no folder or table")


def test_the_example_of_the_documentation_is_read(tmp_path):
    page = (Path(__file__).parents[4] / "docs" / "recordings.md").read_text(encoding="utf-8")
    blocks = {kind: re.search(rf"```{kind}\n(.*?)```", page, re.DOTALL)[1] for kind in ("csv", "json", "yaml")}
    (tmp_path / "sound").mkdir()
    for name in ("monday.mp4", "sound/ben.wav"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "corpus.yaml").write_text(blocks["yaml"], encoding="utf-8")
    for name, kind, labels in (
        ("utterances.csv", "csv", ["calm", "calm", "upset", None, "calm"]),
        ("utterances.jsonl", "json", ["upset", "calm"]),
    ):
        (tmp_path / name).write_text(blocks[kind], encoding="utf-8")
        recordings = read_own(tmp_path / name)
        assert [u.label for u in recordings.utterances] == labels
        assert recordings.card.name == "clinic"
