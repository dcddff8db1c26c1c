"""Archives of strangers: what is inside comes out whole, and nothing lands elsewhere."""

import io
import tarfile
from pathlib import Path

import pytest

from dferc.errors import UserError
from dferc_platform.fetch.unpack import unpack


def archive(path: Path, members: dict[str, bytes], link: str | None = None) -> Path:
    with tarfile.open(path, "w:gz") as made:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            made.addfile(member, io.BytesIO(content))
        if link is not None:
            member = tarfile.TarInfo("MELD.Raw/link")
            member.type, member.linkname = tarfile.SYMTYPE, link
            made.addfile(member)
    return path


@pytest.fixture
def nested(tmp_path):
    """An archive in an archive, as MELD's, with a companion file of macOS."""
    clips = {"splits/dia0_utt0.mp4": b"clip", "splits/._dia0_utt0.mp4": b"macOS"}
    inner = archive(tmp_path / "train.tar.gz", clips).read_bytes()
    (tmp_path / "train.tar.gz").unlink()
    return archive(tmp_path / "MELD.Raw.tar.gz", {"MELD.Raw/train.tar.gz": inner, "MELD.Raw/README.txt": b"read"})


def test_archives_inside_are_unpacked_too(nested, tmp_path):
    assert unpack(nested, tmp_path / "out") == [tmp_path / "out" / "MELD.Raw"]
    found = sorted(str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*") if p.is_file())
    assert found == ["MELD.Raw/README.txt", "MELD.Raw/splits/dia0_utt0.mp4"]


def test_nothing_is_overwritten(nested, tmp_path):
    unpack(nested, tmp_path / "out")
    with pytest.raises(UserError, match="is there already"):
        unpack(nested, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["MELD.Raw"]


def test_of_several_things_none_is_moved_when_one_is_there(tmp_path):
    made = archive(tmp_path / "two.tar", {"a/x": b"x", "b/x": b"x"})
    (tmp_path / "out" / "b").mkdir(parents=True)
    with pytest.raises(UserError, match="out/b is there already"):
        unpack(made, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["b"]


@pytest.mark.parametrize(
    ("members", "link"),
    [({"../outside": b"x"}, None), ({"/outside": b"x", "a/../../outside": b"x"}, None), ({}, "../../outside")],
)
def test_nothing_lands_outside(tmp_path, members, link):
    made = archive(tmp_path / "evil.tar.gz", members, link)
    with pytest.raises(UserError, match="not safe to unpack"):
        unpack(made, tmp_path / "in" / "out")
    assert not list(tmp_path.rglob("outside"))
    assert list((tmp_path / "in" / "out").iterdir()) == []


@pytest.mark.parametrize("kept", [0, 20, 200])
def test_a_truncated_archive_leaves_nothing(tmp_path, kept):
    made = archive(tmp_path / "cut.tar.gz", {"MELD.Raw/noise": bytes(i * i % 251 for i in range(5000))})
    made.write_bytes(made.read_bytes()[:kept])
    with pytest.raises(UserError, match="is damaged"):
        unpack(made, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []
