"""Which code made a number."""

from functools import cache
from hashlib import sha256
from pathlib import Path

import dferc
from dferc_platform.config import RunConfig


@cache
def code_version() -> str:
    """Version of the distribution and a hash of the science it holds: another hash may give other numbers."""
    root = Path(dferc.__file__).parent
    digest = sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode())
        digest.update(path.read_bytes())
    return f"{dferc.__version__}+{digest.hexdigest()[:10]}"


def own_tags(config: RunConfig) -> dict[str, str]:
    """Tags of a run in MLflow that its study, which may hold runs of several codes, does not say."""
    return {"protocol": config.protocol, "code": code_version()}
