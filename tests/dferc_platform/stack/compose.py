"""What docker/compose.yaml describes, for processes on this machine: names become addresses, ports free ones."""

import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from chaos.processes import free_ports

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "docker"
PORT = re.compile(r"(?<=[:=])\d{4,5}\b")
"""As the file writes one: after a host's name or in an option."""
HOST = re.compile(r"(?:(?<=://)|(?<=[@=,])|^)(head|mlflow|database|store)(?=[:/])")

OURS = {"/run/secrets": "../secrets", "/home/dferc": "home", "/etc/dferc": "etc", "/tmp": "tmp"}
"""Folders of a container, and their place in the folder of a machine."""
FOLDERS = re.compile(rf"(?:{'|'.join(OURS)})\b")


@dataclass(frozen=True)
class Service:
    """One container as a process."""

    command: list[str]
    environment: dict[str, str]


class Compose:
    """The services of the file on machines of ours, each with an address, a home and a /tmp of its own."""

    def __init__(self, place: Path, addresses: Mapping[str, str]) -> None:
        text = (FOLDER / "compose.yaml").read_text(encoding="utf-8")
        self._described: dict[str, Any] = yaml.safe_load(text)
        self._place, self.addresses = place, addresses
        self.secrets = place / "secrets"
        found = sorted({*PORT.findall(text), "5432"})
        free = list(map(str, free_ports(len(found) + 8)))
        self.ports = dict(zip(found, free, strict=False))
        self.spare = iter(free[len(found) :])

    def service(self, name: str, machine: str) -> Service:
        """A service as a machine runs it, once its configs and secrets are laid there."""
        described = self._described["services"][name]
        self._lay(described, machine)
        words = [*described.get("entrypoint", []), *described.get("command", [])]
        given = {key: self.here(str(value), machine) for key, value in described["environment"].items()}
        return Service([self.here(word, machine) for word in words], given)

    def restarts(self, name: str) -> bool:
        """Whether a service that ended is started again."""
        return bool(self._described["services"][name].get("restart") == "unless-stopped")

    def here(self, text: str, machine: str) -> str:
        """A word of the file as it reads on a machine of ours."""
        text = PORT.sub(lambda port: self.ports.get(port[0], port[0]), text)
        text = HOST.sub(lambda host: self.addresses[host[1]], text)
        text = FOLDERS.sub(lambda folder: os.path.normpath(self._place / machine / OURS[folder[0]]), text)
        return re.sub(r"\b(0\.0\.0\.0|127\.0\.0\.1)\b", self.addresses[machine], text)

    def url(self, name: str, port: int) -> str:
        """Where a service answers here whose port in the file is this."""
        return f"http://{self.addresses[name]}:{self.ports[str(port)]}"

    def script(self, name: str, machine: str) -> None:
        """Lay a script of the image on a machine's PATH."""
        target = self._place / machine / "bin" / name
        target.parent.mkdir(exist_ok=True)
        target.write_text(self.here((FOLDER / f"{name}.sh").read_text(encoding="utf-8"), machine), encoding="utf-8")
        target.chmod(0o755)

    def _lay(self, described: Mapping[str, Any], machine: str) -> None:
        for folder in ("home", "etc", "tmp"):
            (self._place / machine / folder).mkdir(parents=True, exist_ok=True)
        for secret in described.get("secrets", []):
            if isinstance(secret, dict):
                target = Path(self.here(secret["target"], machine))
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(self.secrets / secret["source"], target)
        for config in described.get("configs", []):
            source = FOLDER / self._described["configs"][config["source"]]["file"]
            lines = [self._here_inside(line, machine) for line in source.read_text(encoding="utf-8").splitlines()]
            Path(self.here(config["target"], machine)).write_text("\n".join(lines), encoding="utf-8")

    def _here_inside(self, line: str, machine: str) -> str:
        return " ".join(self.here(word, machine) for word in line.split(" "))
