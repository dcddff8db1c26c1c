"""Ray's own messages go to a file while dialogues stream: its native part prints to stderr whatever Python says."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def messages_to(log: Path) -> Iterator[None]:
    """Append what this process and its libraries write to stderr to a file, until the block ends."""
    import ray.data

    ray.data.DataContext.get_current().enable_progress_bars = False  # ours are shown instead
    logging.getLogger("ray.data").setLevel(logging.ERROR)
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
