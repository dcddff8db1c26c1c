"""Decoding: the right samples and pictures at the right times, and one sentence for whatever is wrong with a file."""

import os
from pathlib import Path

import av
import numpy as np
import pytest

from dferc.corpus.recordings import Clip
from dferc.encoders.media import MediaError, decode_audio, decode_frames
from dferc.encoders.optional import optional
from dferc.errors import UserError

RATE = 16_000


def gathered(generator):
    """What a generator gave, and what it then said."""
    given = []
    try:
        for one in generator:
            given.append(one)
    except MediaError as problem:
        return given, str(problem)
    return given, ""


def sound_of(clip, rate=RATE):
    blocks, problem = gathered(decode_audio(clip, rate))
    return np.concatenate([np.zeros(0, np.float32), *blocks]), problem


def numbered(count, height=24, width=32):
    """Pictures that tell their number by their brightness; the right half is darker by 5."""
    pictures = np.zeros((count, height, width, 3), np.uint8)
    pictures += (10 + 2 * np.arange(count, dtype=np.uint8))[:, None, None, None]
    pictures[:, :, width // 2 :] -= 5
    return pictures


def number(frame):
    return (int(frame.rgb[0, 0, 0]) - 10) // 2


def test_sound_is_resampled_to_one_channel(tmp_path):
    time = np.arange(44_100) / 44_100
    stereo = np.stack([0.5 * np.sin(2 * np.pi * 440 * time), np.zeros_like(time)])
    with av.open(str(tmp_path / "tone.wav"), "w") as container:
        stream = container.add_stream("pcm_f32le", rate=44_100, layout="stereo")
        frame = av.AudioFrame.from_ndarray(stereo.T.reshape(1, -1).astype(np.float32), format="flt", layout="stereo")
        frame.sample_rate = 44_100
        container.mux(stream.encode(frame))
    samples, problem = sound_of(Clip(str(tmp_path / "tone.wav")))
    assert not problem
    assert samples.dtype == np.float32
    assert len(samples) == pytest.approx(RATE, abs=2)
    expected = 0.25 * np.sin(2 * np.pi * 440 * np.arange(len(samples)) / RATE)
    middle = slice(200, -200)
    assert np.abs(samples[middle] - expected[middle]).max() < 1e-3


@pytest.mark.parametrize(("name", "error"), [("talk.wav", 1e-6), ("talk.mkv", 1e-6), ("talk.mp4", 1e-3)])
def test_a_clip_of_sound_is_that_part_of_the_whole(tmp_path, make_media, speech, name, error):
    path = make_media(tmp_path / name, sound=speech(3.0))
    whole, _ = sound_of(Clip(path))
    part, problem = sound_of(Clip(path, 1.25, 2.5))
    assert not problem
    assert len(part) == 1.25 * RATE
    assert np.abs(part - whole[20_000:40_000]).max() < error
    assert np.abs(whole).max() > 0.2


def test_sound_comes_in_small_blocks(tmp_path, make_media, speech):
    blocks, _ = gathered(decode_audio(Clip(make_media(tmp_path / "long.wav", sound=speech(5.0)))))
    assert sum(map(len, blocks)) == 5 * RATE
    assert max(map(len, blocks)) < RATE


def test_pictures_are_taken_at_even_instants(tmp_path, make_media):
    path = make_media(tmp_path / "count.mkv", numbered(50), fps=25)
    frames, problem = gathered(decode_frames(Clip(path), 5.0))
    assert not problem
    assert [number(frame) for frame in frames] == list(range(0, 50, 5))
    assert [frame.time for frame in frames] == pytest.approx(np.arange(0, 2, 0.2))
    assert frames[0].rgb.shape == (24, 32, 3)


@pytest.mark.parametrize("name", ["count.mkv", "count.mp4", "count.avi"])
def test_a_clip_of_pictures_is_that_part_of_the_whole(tmp_path, make_media, name):
    path = make_media(tmp_path / name, numbered(50), fps=25)
    whole, _ = gathered(decode_frames(Clip(path), 25.0))
    part, problem = gathered(decode_frames(Clip(path, 0.8, 1.2), 25.0))
    assert not problem
    assert [frame.time for frame in part] == pytest.approx(np.arange(0.8, 1.2, 0.04), abs=1e-3)
    assert all(np.array_equal(one.rgb, same.rgb) for one, same in zip(part, whole[20:30], strict=True))


def test_no_more_pictures_than_there_are(tmp_path, make_media):
    path = make_media(tmp_path / "slow.mkv", numbered(5), fps=5)
    assert [number(f) for f in gathered(decode_frames(Clip(path), 30.0))[0]] == [0, 1, 2, 3, 4]


def test_pictures_at_uneven_times(tmp_path, make_media):
    times = (0.0, 0.04, 0.08, 0.9, 1.0, 1.02, 1.5)
    path = make_media(tmp_path / "uneven.mkv", numbered(7), times=times)
    frames, problem = gathered(decode_frames(Clip(path), 2.0))
    assert not problem
    assert [frame.time for frame in frames] == pytest.approx([0.0, 0.9, 1.0, 1.5], abs=1e-3)


@pytest.mark.parametrize(("start", "stop", "shown"), [(0.4, 0.6, [2]), (0.85, 0.95, [2, 3]), (1.2, 1.4, [5])])
def test_a_picture_is_shown_until_the_next_one(tmp_path, make_media, start, stop, shown):
    times = (0.0, 0.04, 0.08, 0.9, 1.0, 1.02, 1.5)
    path = make_media(tmp_path / "uneven.mkv", numbered(7), times=times)
    frames, problem = gathered(decode_frames(Clip(path, start, stop), 50.0))
    assert not problem
    assert [number(frame) for frame in frames] == shown


@pytest.mark.parametrize("name", ["count.ts", "count.mpg"])
def test_a_clip_in_a_container_without_an_index(tmp_path, make_media, speech, name):
    path = make_media(tmp_path / name, numbered(100, 48, 64), speech(4.0), fps=25)
    whole, _ = gathered(decode_frames(Clip(path), 25.0))
    part, problem = gathered(decode_frames(Clip(path, 2.0, 3.0), 25.0))
    assert not problem
    assert part[0].time == pytest.approx(2.0, abs=0.04)
    assert len(part) == 25
    at = {frame.time: frame.rgb for frame in whole}
    assert all(np.array_equal(frame.rgb, at[frame.time]) for frame in part)
    samples, _ = sound_of(Clip(path))
    clip, problem = sound_of(Clip(path, 2.0, 3.0))
    assert not problem
    assert len(clip) == RATE
    assert np.abs(clip - samples[2 * RATE : 3 * RATE]).max() < 1e-3


def test_sound_that_changes_its_form_on_the_way(tmp_path, make_media, speech):
    parts = [
        Path(make_media(tmp_path / f"{rate}.mpg", sound=speech(1.0, rate), rate=rate)) for rate in (16_000, 48_000)
    ]
    both = tmp_path / "both.mpg"
    both.write_bytes(b"".join(path.read_bytes() for path in parts))
    samples, _ = sound_of(Clip(str(both)))
    assert len(samples) == pytest.approx(2 * RATE, abs=0.1 * RATE)


@pytest.mark.parametrize(("region", "brightness"), [("left", 10), ("right", 5)])
def test_only_the_half_of_the_speaker(tmp_path, make_media, region, brightness):
    path = make_media(tmp_path / "two.mkv", numbered(1, height=23, width=31))
    (frame,), _ = gathered(decode_frames(Clip(path, region=region), 1.0))
    assert frame.rgb.shape == (23, 15 if region == "left" else 16, 3)
    assert (frame.rgb == brightness).all()


def test_rotated_pictures_are_set_upright(tmp_path, make_media):
    picture = np.zeros((48, 64, 3), np.uint8)
    picture[:, :32] = 255
    path = make_media(tmp_path / "telephone.mp4", [picture] * 3, rotation=90)
    frames, _ = gathered(decode_frames(Clip(path), 10.0))
    assert frames[0].rgb.shape == (64, 48, 3)
    assert frames[0].rgb[-20:].mean() > 200  # turned to the left, the left half comes to lie below
    assert frames[0].rgb[:20].mean() < 50


def test_sound_shorter_than_the_pictures(tmp_path, make_media, speech):
    clip = Clip(make_media(tmp_path / "short.mkv", numbered(30), speech(1.0)))
    samples, problem = sound_of(clip)
    assert len(samples) == RATE
    assert problem == "the sound ends at 1.00 s instead of 3.00 s"
    frames, problem = gathered(decode_frames(clip, 10.0))
    assert len(frames) == 30
    assert not problem


def test_pictures_shorter_than_the_sound(tmp_path, make_media, speech):
    clip = Clip(make_media(tmp_path / "short.mkv", numbered(10), speech(3.0)), 0.5, 2.5)
    assert sound_of(clip)[1] == ""
    frames, problem = gathered(decode_frames(clip, 10.0))
    assert len(frames) == 5
    assert problem == "the picture ends at 1.00 s instead of 2.50 s"


def broken(kind, folder, make_media, speech):
    """Path of a file that is wrong in one way."""
    path = folder / f"{kind}.mp4"
    if kind == "text":
        path.write_text("no recording")
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "cut":
        whole = Path(make_media(folder / "whole.mp4", numbered(30), speech(3.0))).read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
    elif kind == "playlist":
        path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nhttp://127.0.0.1:9/part.ts\n#EXT-X-ENDLIST\n")
    return str(path)


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("absent", "there is no file 'absent.mp4'"),
        ("folder", "there is no file 'folder.mp4'"),
        ("pipe", "there is no file 'pipe.mp4'"),
        ("text", "'text.mp4' cannot be decoded: Invalid data found when processing input"),
        ("empty", "'empty.mp4' cannot be decoded: Invalid data found when processing input"),
        ("cut", "'cut.mp4' cannot be decoded: Invalid data found when processing input"),
        ("playlist", "'playlist.mp4' "),
    ],
)
@pytest.mark.timeout(20)
def test_a_file_that_is_no_recording_gets_a_sentence(tmp_path, make_media, speech, kind, sentence):
    clip = Clip(broken(kind, tmp_path, make_media, speech))
    for generator in (decode_audio(clip), decode_frames(clip, 5.0)):
        given, problem = gathered(generator)
        assert not given
        assert problem.startswith(sentence)


def test_an_address_is_never_opened():
    assert sound_of(Clip("http://127.0.0.1:9/talk.wav"))[1] == "there is no file 'talk.wav'"


def test_a_stream_that_is_not_there(tmp_path, make_media, speech):
    silent = make_media(tmp_path / "film.mkv", numbered(5))
    blind = make_media(tmp_path / "talk.wav", sound=speech(0.5))
    assert sound_of(Clip(silent))[1] == "'film.mkv' has no sound"
    assert gathered(decode_frames(Clip(blind), 5.0)) == ([], "'talk.wav' has no picture")


def test_a_coding_that_is_not_known(tmp_path, make_media):
    path = Path(make_media(tmp_path / "film.mkv", numbered(5)))
    path.write_bytes(path.read_bytes().replace(b"V_FFV1", b"V_WXYZ"))
    assert gathered(decode_frames(Clip(str(path)), 5.0)) == (
        [],
        "'film.mkv' has its picture in a coding that is not known here",
    )


@pytest.mark.parametrize(
    ("start", "stop", "sentence"),
    [
        (1.0, 1.0, "the clip lasts 0.00 s"),
        (1.0, 0.5, "the clip lasts -0.50 s"),
        (7.0, 9.0, "has nothing from 7.00 s on"),
    ],
)
@pytest.mark.parametrize("name", ["times.mkv", "times.mp4"])
def test_times_that_cannot_be(tmp_path, make_media, speech, name, start, stop, sentence):
    clip = Clip(make_media(tmp_path / name, numbered(20), speech(2.0)), start, stop)
    samples, problem = sound_of(clip)
    assert not len(samples)
    assert sentence in problem
    frames, problem = gathered(decode_frames(clip, 5.0))
    assert not frames
    assert sentence in problem


def test_a_clip_that_ends_behind_the_file(tmp_path, make_media, speech):
    clip = Clip(make_media(tmp_path / "times.mkv", numbered(20), speech(2.0)), 1.0, 9.0)
    samples, problem = sound_of(clip)
    assert len(samples) == RATE
    assert problem == "the sound ends at 2.00 s instead of 9.00 s"


def test_damage_costs_no_more_than_what_is_damaged(tmp_path, make_media):
    random = np.random.default_rng(0)
    pictures = list(random.integers(0, 255, (40, 48, 64, 3), dtype=np.uint8))
    path = Path(make_media(tmp_path / "scratch.mkv", pictures))
    content = bytearray(path.read_bytes())
    for place in range(len(content) // 3, len(content) // 2):
        content[place] ^= 0x5A
    path.write_bytes(content)
    frames, problem = gathered(decode_frames(Clip(str(path)), 10.0))
    assert 10 < len(frames) < 40
    assert np.array_equal(frames[0].rgb, pictures[0])
    assert problem


def test_an_abandoned_generator_closes_its_file(tmp_path, make_media):
    path = make_media(tmp_path / "count.mkv", numbered(20))
    frames = decode_frames(Clip(path), 10.0)
    next(frames)
    assert path in opened_files()
    frames.close()
    assert path not in opened_files()


def opened_files():
    links = Path("/proc/self/fd").iterdir()
    return {str(link.readlink()) for link in links if link.is_symlink()}


def test_a_library_that_is_not_installed(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    with pytest.raises(UserError, match=r'the library av, needed to decode recordings, .*pip install "dferc\[raw\]"'):
        optional("av")
