"""The files that travel with a job: found by rules, copied into a folder of their own, which Ray ships as it is.

Ray would walk the working directory itself, by fewer rules, and follow every link in it; so what is shown is what is
shipped.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pathspec import GitIgnoreSpec

from dferc.errors import UserError
from dferc_platform.jobs.leave_out import DATA, MADE, SECRETS

LARGEST_FILE = 10 * 2**20
"""Bytes; what is larger is data, which is read by its path, not shipped."""
LARGEST_PACKAGE = 200 * 2**20
"""Bytes; the head holds every package in memory, and refuses the largest."""
IGNORE_FILES = (".gitignore", ".rayignore")
PRIVATE = "may hold a secret"
RULES = {
    PRIVATE: GitIgnoreSpec.from_lines(rule.lower() for rule in SECRETS),
    "data": GitIgnoreSpec.from_lines(DATA),
    "of no use there, or made anew": GitIgnoreSpec.from_lines(MADE),
}


@dataclass
class Package:
    """Files of a folder that travel, by path with their bytes, and what stays, by path with the reason."""

    folder: Path
    files: dict[str, int] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(self.files.values())

    def why_missing(self, path: Path) -> str | None:
        """Why a file or folder does not travel; None where it does, or is not of this folder."""
        path = path.parent.resolve() / path.name  # a link is asked for, not what it leads to
        if not path.is_relative_to(self.folder):
            return None
        relative = path.relative_to(self.folder)
        for part in (relative, *relative.parents):
            if part.as_posix() in self.left_out:
                return self.left_out[part.as_posix()]
        return None


def pack(folder: Path, also_out: Sequence[Path] = ()) -> Package:
    """What of a folder travels; not the folders ``also_out``.

    Raises:
        UserError: it is no folder, or holds too much.
    """
    if not folder.is_dir():
        raise UserError(f"--working-dir {folder} is no folder")
    package = Package(folder.resolve())
    ignored: list[tuple[str, str, GitIgnoreSpec]] = []
    outside = {path.resolve() for path in also_out}
    for place, folders, files in os.walk(package.folder):
        ignored += _ignore_files(package.folder, Path(place))
        for name in sorted(files):
            path = Path(place, name)
            why = _why_left_out(package.folder, path, ignored) or _unfit(path)
            _note(package, path, why)
        for name in sorted(folders):
            path = Path(place, name)
            why = "data" if path in outside else _why_left_out(package.folder, path, ignored)
            why = "a link to a folder" if path.is_symlink() else why
            if why:
                folders.remove(name)
                package.left_out[path.relative_to(package.folder).as_posix()] = why
    return package


@contextmanager
def staged(package: Package) -> Iterator[Path]:
    """A folder with copies of the files that travel, for as long as the block runs."""
    with tempfile.TemporaryDirectory(prefix="dferc-job-") as place:
        for name in package.files:
            copy = Path(place, name)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(package.folder / name, copy)
        yield Path(place)


def _note(package: Package, path: Path, why: str | None) -> None:
    name = path.relative_to(package.folder).as_posix()
    if why:
        package.left_out[name] = why
        return
    package.files[name] = path.stat().st_size
    if package.size > LARGEST_PACKAGE:
        raise UserError(
            f"{package.folder} holds more than {LARGEST_PACKAGE >> 20} MB to ship: name a smaller --working-dir, "
            "or leave folders out by a file .rayignore, of the form of .gitignore"
        )


def _why_left_out(root: Path, path: Path, ignored: list[tuple[str, str, GitIgnoreSpec]]) -> str | None:
    name = path.relative_to(root).as_posix() + ("/" if path.is_dir() else "")
    names = {name, *_target(root, path)}
    for why, rules in RULES.items():
        if any(rules.match_file(each.lower() if why == PRIVATE else each) for each in names):
            return why
    for below, file, rules in ignored:
        if name.startswith(below) and rules.match_file(name.removeprefix(below)):
            return f"by {below}{file}"
    return None


def _target(root: Path, path: Path) -> Iterator[str]:
    """What a link to outside leads to: a link to a secret is one."""
    if path.is_symlink() and not path.resolve().is_relative_to(root):
        yield path.resolve().as_posix().lstrip("/")


def _unfit(path: Path) -> str | None:
    if not path.is_file():
        return "no regular file"
    if not os.access(path, os.R_OK):
        return "cannot be read"
    return f"larger than {LARGEST_FILE >> 20} MB" if path.stat().st_size > LARGEST_FILE else None


def _ignore_files(root: Path, place: Path) -> Iterator[tuple[str, str, GitIgnoreSpec]]:
    """Ignore files of a folder: the prefix of what they speak of, their name, their rules."""
    for file in IGNORE_FILES:
        if (place / file).is_file():
            below = "" if place == root else f"{place.relative_to(root).as_posix()}/"
            lines = (place / file).read_text(encoding="utf-8", errors="replace").splitlines()
            yield below, file, GitIgnoreSpec.from_lines(lines)
