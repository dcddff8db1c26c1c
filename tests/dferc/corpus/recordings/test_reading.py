"""Layouts by name, with options as text."""

import pytest

from dferc.corpus.recordings.reading import LAYOUTS, read_recordings
from dferc.errors import UserError

TABLE = "dialogue,turn,speaker,text,label,split\nd1,0,A,hello,glad,train\nd1,1,B,bye,calm,train\n"


@pytest.fixture
def own(tmp_path):
    (tmp_path / "utterances.csv").write_text(TABLE)
    return tmp_path


def refusal(*arguments, **named):
    with pytest.raises(UserError) as caught:
        read_recordings(*arguments, **named)
    return str(caught.value)


def test_options_reach_the_reader(own):
    recordings = read_recordings("own", own, {"labels": "calm, glad"})
    assert recordings.card.labels == ("calm", "glad")


def test_the_classes_of_a_model_outrank(own):
    assert read_recordings("own", own, {}, classes=("glad", "calm")).card.labels == ("glad", "calm")


def test_all_unknown_options_are_named_at_once(own):
    message = refusal("iemocap", own, {"label": "4-way", "labels": "5-way", "markers": "top"})
    assert "iemocap has no option 'label'; it has labels, unlabelled, split, markers" in message
    assert "labels = '5-way' must be one of 6-way, 4-way" in message
    assert "markers = 'top' must be one of left, right" in message


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_refuses_an_empty_folder_with_a_sentence(layout, tmp_path):
    message = refusal(layout, tmp_path, {})
    assert str(tmp_path) in message
    assert len(message) < 500


def test_other_classes_than_the_model_knows_are_refused(tmp_path):
    (tmp_path / "label.csv").write_text("video_id,clip_id,text,label,annotation,mode\nv,1,hi,1.0,Positive,train\n")
    message = refusal("mosi", tmp_path, {}, classes=("a", "b"))
    assert "has the classes negative, positive, must have a, b, which the model knows" in message
