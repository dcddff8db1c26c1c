"""What the tests of images and manifests share: the files, read; the linters; a walk through a tree."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

DOCKER = Path(__file__).parents[2] / "docker"


@pytest.fixture(scope="session")
def docker() -> Path:
    """The folder of images and manifests."""
    return DOCKER


@pytest.fixture(scope="session")
def compose() -> dict[str, Any]:
    """The compose file, with its anchors resolved."""
    return yaml.safe_load((DOCKER / "compose.yaml").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def kubernetes() -> list[dict[str, Any]]:
    """Every object of the Kubernetes manifests."""
    files = sorted((DOCKER / "kuberay").glob("*.yaml"))
    return [made for file in files for made in yaml.safe_load_all(file.read_text(encoding="utf-8"))]


@pytest.fixture(scope="session")
def locked() -> dict[str, str]:
    """Versions in constraints.txt by name of the package."""
    lines = (DOCKER.parent / "constraints.txt").read_text(encoding="utf-8").split()
    return dict(line.split("==") for line in lines)


@pytest.fixture(scope="session")
def tool() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a command-line tool of this environment."""

    def run(name: str, *arguments: object) -> subprocess.CompletedProcess[str]:
        words = [str(Path(sys.executable).with_name(name)), *map(str, arguments)]
        return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)

    return run


def walk(part: Any) -> Iterator[Any]:
    yield part
    for below in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        yield from walk(below)


@pytest.fixture(scope="session")
def every_part() -> Callable[[Any], Iterator[Any]]:
    """Every value in a tree of dictionaries and lists, the tree itself included."""
    return walk
