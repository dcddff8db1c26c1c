"""Unpacking archives of strangers: nothing is written outside the folder, and nothing half."""

import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Iterable
from pathlib import Path

from dferc.errors import UserError

ARCHIVES = (".tar.gz", ".tgz", ".tar")
RESOURCE_FORK = "._"
"""Begin of the names of macOS's companions of files; MELD's archives hold them, and they are no clips."""


def unpack(archive: Path, folder: Path) -> list[Path]:
    """Unpack an archive and the archives inside it; what it holds at its top, which appears when all is there.

    Raises:
        UserError: it is damaged, wants to write elsewhere, needs more space, or what it holds is there already.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".unpacking-") as name:
        inside = Path(name)
        _extract(archive, inside)
        for inner in sorted(path for path in inside.rglob("*") if path.name.endswith(ARCHIVES) and path.is_file()):
            _extract(inner, inner.parent)
            inner.unlink()
        made = sorted(inside.iterdir())
        _refuse_present(folder / path.name for path in made)
        return [path.rename(folder / path.name) for path in made]


def _extract(archive: Path, into: Path) -> None:
    try:
        with tarfile.open(archive, "r|*") as members:
            for member in members:
                if Path(member.name).name.startswith(RESOURCE_FORK):
                    continue
                if member.size > shutil.disk_usage(into).free:
                    raise UserError(f"{into.parent} lacks the space to unpack {member.name} of {archive.name}")
                members.extract(member, into, filter="data")
    except tarfile.FilterError as error:
        raise UserError(f"{archive.name} is not safe to unpack, nothing of it was kept: {error}") from None
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise UserError(f"{archive.name} is damaged, nothing of it was kept ({error}): download it again") from None


def _refuse_present(targets: Iterable[Path]) -> None:
    there = [str(target) for target in targets if target.exists()]
    if there:
        raise UserError(f"{', '.join(there)} is there already: move it away to unpack again")
