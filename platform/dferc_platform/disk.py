"""Recognises a full disk, whatever library met it: then nothing that comes after can succeed either."""

import errno
import os
import socket
from pathlib import Path

FULL = (errno.ENOSPC, errno.EDQUOT)


def disk_full(error: BaseException, where: str | Path) -> str | None:
    """What to say of an error that a full disk made; None for any other. ``where`` serves if it names no file."""
    text = str(error)
    told = any(os.strerror(number) in text for number in FULL)  # safetensors' own error has no number
    if not (isinstance(error, OSError) and error.errno in FULL) and not told:
        return None
    place = getattr(error, "filename", None) or where
    return (
        f"the disk is full at {place} on {socket.gethostname()}: "
        "free space and give the same command again, or choose another --results"
    )
