"""Finding the files of a data set below a folder, however its archives were unpacked."""

from collections.abc import Iterable
from pathlib import Path

from dferc.errors import UserError


def files_below(folder: Path | str, suffix: str) -> list[Path]:
    """Files with this suffix at any depth, those nearest to the folder first.

    Raises:
        UserError: there is no such folder.
    """
    folder = Path(folder).absolute()
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder}: name the one that holds the data set")
    found = (path for path in folder.rglob(f"*{suffix}") if path.is_file())
    return sorted(found, key=lambda path: (len(path.parts), path))


def named(files: Iterable[Path], names: Iterable[str], folder: Path | str, what: str) -> dict[str, Path]:
    """The file of each name that is nearest to the folder.

    Raises:
        UserError: some are not among the files.
    """
    nearest: dict[str, Path] = {}
    for path in files:
        nearest.setdefault(path.name, path)
    wanted = list(names)
    absent = [name for name in wanted if name not in nearest]
    if absent:
        raise UserError(f"{folder} lacks {', '.join(absent)}, which {what} needs, there or in a folder below")
    return {name: nearest[name] for name in wanted}
