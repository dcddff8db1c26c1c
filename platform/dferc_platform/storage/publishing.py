"""What the driver writes, put into the object store as it is written."""

from pathlib import Path

from dferc_platform.storage.copies import copy_of
from dferc_platform.storage.lease import require_held
from dferc_platform.storage.pulling import together
from dferc_platform.storage.units import files


def publish(path: Path) -> None:
    """Put a file, or every file of a folder, that belongs to a study; nothing for an ordinary folder.

    Raises:
        StoreAwayError: the store does not answer.
        UserError: another driver has taken the study over, or the store refuses.
    """
    copy = copy_of(path)
    if copy is None:
        return
    require_held(path)
    found = [path / name for name in files(path)] if path.is_dir() else [path]
    together(lambda file: copy.remote.upload(file, copy.name(file)), found)


def withdraw(file: Path) -> None:
    """Take a file of a study away, here and in the object store.

    Raises:
        StoreAwayError, UserError: as above.
    """
    file.unlink(missing_ok=True)
    copy = copy_of(file)
    if copy is not None:
        require_held(file)
        copy.remote.delete(copy.name(file))
