"""Which working copy a run belongs to: the last one that said so may write, every other one may not."""

import json
import socket
from dataclasses import asdict, dataclass

from dferc_platform.storage.remote import Remote

FILE = ".owner.json"


@dataclass(frozen=True)
class Owner:
    """Who trains a run."""

    copy: str = ""
    host: str = ""


def owner(run: Remote) -> Owner:
    """Who said last that the run is theirs."""
    content = run.read(FILE)
    try:
        return Owner(**json.loads(content)) if content else Owner()
    except (ValueError, TypeError):
        return Owner()


def sign(run: Remote, copy: str) -> None:
    """Say that the run is this copy's from now on."""
    run.write(FILE, json.dumps(asdict(Owner(copy, socket.gethostname()))).encode())
