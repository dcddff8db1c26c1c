"""openSMILE: the published sets of functionals, and a sentence wherever there is nothing to describe."""

import sys

import numpy as np
import opensmile
import pytest

from dferc.corpus.recordings import Clip
from dferc.encoders.audio import AudioExtraction, AudioExtractor
from dferc.errors import UserError

WIDTHS = {"IS10": 1582, "IS09": 384, "ComParE_2016": 6373, "eGeMAPSv02": 88}


@pytest.fixture(scope="module")
def is10():
    return AudioExtractor(AudioExtraction())


@pytest.fixture(scope="module")
def talk(tmp_path_factory, make_media, speech):
    return make_media(tmp_path_factory.mktemp("audio") / "talk.wav", sound=speech(2.0))


@pytest.mark.parametrize("feature_set", WIDTHS)
def test_numbers_are_those_of_opensmile(feature_set, talk, conversation):
    extractor = AudioExtractor(AudioExtraction(feature_set=feature_set))
    extracted = extractor.extract(conversation([Clip(talk), Clip(talk, 0.5, 0.54)]))
    smile = opensmile.Smile(opensmile.FeatureSet[feature_set], opensmile.FeatureLevel.Functionals)
    assert extractor.described().width == WIDTHS[feature_set]
    assert extracted.vectors.dtype == np.float32
    assert extracted.vectors[0] == pytest.approx(smile.process_file(talk).to_numpy()[0], rel=1e-3, abs=1e-3)
    if feature_set != "IS09":  # the only one that describes 40 ms
        assert extracted.present.tolist() == [True, False]
        assert extracted.notes == ("", "clip of 40 ms is too short for openSMILE")
        assert not extracted.vectors[1].any()


def test_the_pitch_is_heard_whatever_the_rate(is10, tmp_path, make_media, speech, conversation):
    clips = [
        Clip(make_media(tmp_path / f"{pitch}.wav", sound=speech(1.5, rate, pitch), rate=rate))
        for pitch, rate in ((220, 16_000), (330, 44_100))
    ]
    vectors = is10.extract(conversation(clips)).vectors
    pitch = opensmile.Smile(opensmile.FeatureSet.IS10).feature_names.index("F0final_sma_quartile2")
    assert vectors[:, pitch] == pytest.approx([220, 330], rel=0.05)


def test_what_cannot_be_heard_is_absent_and_said(is10, talk, tmp_path, make_media, speech, conversation):
    black = np.zeros((20, 16, 16, 3), np.uint8)
    clips = [
        Clip(talk),
        None,
        Clip(make_media(tmp_path / "silent.wav", sound=np.zeros(16_000))),
        Clip(make_media(tmp_path / "film.mkv", black)),
        Clip(str(tmp_path / "gone.wav")),
        Clip(make_media(tmp_path / "short.mkv", black, speech(1.0))),
        Clip(talk, 0.0, 1.0),
    ]
    extracted = is10.extract(conversation(clips))
    assert extracted.notes == (
        "",
        "no recording",
        "silent",
        "'film.mkv' has no sound",
        "there is no file 'gone.wav'",
        "the sound ends at 1.00 s instead of 2.00 s",
        "",
    )
    assert extracted.present.tolist() == [True, False, False, False, False, True, True]
    assert np.array_equal(extracted.vectors.any(1), extracted.present)
    assert np.isfinite(extracted.vectors).all()
    assert np.array_equal(extracted.vectors[:1], is10.extract(conversation(clips[:1])).vectors)


def test_numbers_that_are_not_finite_become_zero(talk, conversation, monkeypatch):
    extractor = AudioExtractor(AudioExtraction(feature_set="eGeMAPSv02"))
    odd = np.ones((1, 88, 1), np.float32)
    odd[0, [3, 40, 87], 0] = np.nan, np.inf, -np.inf
    monkeypatch.setattr(extractor, "_smile", lambda samples, rate: odd)
    extracted = extractor.extract(conversation([Clip(talk)]))
    assert extracted.notes == ("3 of 88 numbers were not finite and are 0",)
    assert extracted.present.all()
    assert np.flatnonzero(extracted.vectors[0] == 0).tolist() == [3, 40, 87]


def test_real_speech_and_a_real_silent_track(is10, face_videos, conversation):
    clips = [Clip(str(face_videos / name)) for name in ("single_face.mp4", "WolfgangLanger_Pexels.mp4")]
    extracted = is10.extract(conversation(clips))
    assert extracted.present.tolist() == [True, False]
    assert extracted.notes == ("", "silent")
    assert np.isfinite(extracted.vectors).all()


def test_description_tells_settings_apart(is10):
    described = is10.described()
    assert described == AudioExtractor(AudioExtraction()).described()
    assert described != AudioExtractor(AudioExtraction(sample_rate=8_000)).described()
    assert opensmile.__version__ in described.extractor
    assert described.weights is None


def test_the_licence_is_said_where_the_set_is_chosen():
    assert "research and education only" in AudioExtraction.model_fields["feature_set"].description


def test_without_opensmile_there_is_a_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "opensmile", None)
    with pytest.raises(UserError, match=r'pip install "dferc\[raw\]"'):
        AudioExtractor(AudioExtraction())
