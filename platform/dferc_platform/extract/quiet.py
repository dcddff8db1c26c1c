"""Messages of libraries go to a file while dialogues stream: native code prints to stderr whatever Python says."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def messages_to(log: Path) -> Iterator[None]:
    """Append what this process and its libraries write to stderr to a file, until the block ends."""
    log.parent.mkdir(parents=True, exist_ok=True)
    sys.stderr.flush()
    terminal = os.dup(2)
    with log.open("ab") as file:
        os.dup2(file.fileno(), 2)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(terminal, 2)
        os.close(terminal)
