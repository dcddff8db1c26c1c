"""Faces in real recordings: found, cut out, averaged; and a sentence where they vanish or never were."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from dferc.corpus.recordings import Clip
from dferc.encoders.densenet import random_densenet
from dferc.encoders.faces import FaceFinder
from dferc.encoders.media import decode_frames
from dferc.encoders.video import VideoExtraction, VideoExtractor
from dferc.errors import UserError

UNTRAINED = VideoExtraction(weights="random", frames_per_second=4)


@pytest.fixture(scope="module")
def extractor():
    return VideoExtractor(UNTRAINED)


@pytest.fixture(scope="module")
def finder():
    return FaceFinder(smallest=0.1, neighbours=3, margin=0.0, side=64)


@pytest.fixture(scope="module")
def pictures(face_videos):
    """Four pictures [360, 640, 3] of one face."""
    return [frame.rgb for frame in decode_frames(Clip(str(face_videos / "single_face.mp4"), 0.0, 1.0), 4.0)]


def likeness(one, other):
    return np.corrcoef(one.ravel().astype(float), other.ravel().astype(float))[0, 1]


def test_a_face_is_cut_out_wherever_it_is(finder, pictures):
    face = finder.face(pictures[0])
    assert face.shape == (64, 64)
    assert face.dtype == np.uint8
    moved = np.zeros_like(pictures[0])
    moved[20:, 60:] = pictures[0][:-20, :-60]
    doubled = pictures[0].repeat(2, 0).repeat(2, 1)
    assert likeness(face, finder.face(moved)) > 0.9
    assert likeness(face, finder.face(doubled)) > 0.9
    assert likeness(face, np.fliplr(face)) < 0.9


def test_the_largest_face_counts(finder, pictures):
    small = pictures[0][::2, ::2]
    crowd = np.zeros((360, 960, 3), np.uint8)
    crowd[:180, :320] = small
    crowd[:, 320:] = pictures[0]
    assert likeness(finder.face(crowd), finder.face(pictures[0])) > 0.9


def test_a_margin_shows_more_than_the_face(pictures, finder):
    wide = FaceFinder(smallest=0.1, neighbours=3, margin=0.25, side=96).face(pictures[0])
    assert likeness(wide[16:80, 16:80], finder.face(pictures[0])) > 0.9


def test_no_face_in_nothing(finder):
    assert finder.face(np.full((90, 120, 3), 128, np.uint8)) is None


def test_vector_is_the_mean_over_faces(extractor, finder, pictures, tmp_path, make_media, conversation):
    path = make_media(tmp_path / "face.mkv", pictures, fps=4)
    extracted = extractor.extract(conversation([Clip(path)]))
    faces = torch.from_numpy(np.stack([finder.face(picture) for picture in pictures])).float()
    with torch.inference_mode():
        expected = random_densenet()((faces.unsqueeze(1) - 131.0754) / 47.858177).mean(0)
    assert extracted.vectors.dtype == np.float32
    assert extracted.vectors[0] == pytest.approx(expected.numpy(), abs=1e-5)
    assert extracted.notes == ("untrained network",)


def test_a_face_that_vanishes(extractor, pictures, tmp_path, make_media, conversation):
    nothing = [np.zeros_like(pictures[0])] * 3
    clips = [
        Clip(make_media(tmp_path / "stays.mkv", pictures, fps=4)),
        Clip(make_media(tmp_path / "goes.mkv", pictures + nothing, fps=4)),
        Clip(make_media(tmp_path / "never.mkv", nothing, fps=4)),
    ]
    extracted = extractor.extract(conversation(clips))
    assert extracted.present.tolist() == [True, True, False]
    assert extracted.vectors[1] == pytest.approx(extracted.vectors[0], abs=1e-6)
    assert extracted.notes[1].startswith("face in 4 of 7 pictures")
    assert extracted.notes[2] == "no face in any of 3 pictures"
    assert not extracted.vectors[2].any()


def test_real_recordings_with_and_without_faces(extractor, face_videos, tmp_path, make_media, speech, conversation):
    clips = [
        Clip(str(face_videos / "single_face.mp4"), 0.0, 1.0),
        Clip(str(face_videos / "no_face.mp4"), 0.0, 1.0),
        None,
        Clip(make_media(tmp_path / "talk.wav", sound=speech(0.5))),
        Clip(str(face_videos / "gone.mp4")),
        Clip(str(face_videos / "face_noface.mov"), 1.0, 4.0),
        Clip(str(face_videos / "single_face.mp4"), 2.0, 9.0),
    ]
    extracted = extractor.extract(conversation(clips))
    assert extracted.present.tolist() == [True, False, False, False, False, True, True]
    assert extracted.notes[:5] == (
        "untrained network",
        "no face in any of 4 pictures",
        "no recording",
        "'talk.wav' has no picture",
        "there is no file 'gone.mp4'",
    )
    assert " of 12 pictures" in extracted.notes[5]
    assert extracted.notes[6] == "the picture ends at 2.40 s instead of 9.00 s; untrained network"
    assert np.array_equal(extracted.vectors.any(1), extracted.present)


def test_the_half_of_the_speaker(extractor, pictures, tmp_path, make_media, conversation):
    both = [np.concatenate([picture, np.zeros_like(picture)], 1) for picture in pictures]
    path = make_media(tmp_path / "both.mkv", both, fps=4)
    extracted = extractor.extract(conversation([Clip(path, region="left"), Clip(path, region="right")]))
    assert extracted.present.tolist() == [True, False]


def test_vectors_do_not_hang_on_the_batch(extractor, pictures, tmp_path, make_media, conversation):
    clips = [Clip(make_media(tmp_path / f"{i}.mkv", pictures[i:], fps=4)) for i in (3, 1)]
    small = VideoExtractor(UNTRAINED.model_copy(update={"batch": 2}))
    together = extractor.extract(conversation(clips)).vectors
    assert small.extract(conversation(clips)).vectors == pytest.approx(together, abs=1e-5)
    assert np.abs(together[0] - together[1]).max() > 1e-4
    assert small.described() == extractor.described()


def test_description_names_the_weights(extractor, tmp_path):
    save_file(random_densenet().state_dict(), tmp_path / "ferplus.safetensors")
    trained = VideoExtractor(VideoExtraction(weights=str(tmp_path / "ferplus.safetensors")))
    assert len(trained.described().weights) == 64
    assert "untrained" not in trained.described().extractor
    assert "untrained" in extractor.described().extractor
    assert extractor.described().weights is None
    assert extractor.described().width == 342
    assert str(tmp_path) not in trained.described().model_dump_json()


def test_weights_that_are_not_there():
    with pytest.raises(UserError, match="cannot be read from nowhere"):
        VideoExtractor(VideoExtraction(weights="nowhere"))
