"""Every command that a manifest runs or a page shows is one that dferc, Ray and MLflow accept as they are locked."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import typer
import yaml

from dferc_platform.cli import app

DOCKER = Path(__file__).parents[2] / "docker"
MANIFESTS = sorted([*DOCKER.glob("*.yaml"), *(DOCKER / "kuberay").glob("*.yaml")])
OTHERS = sorted([*DOCKER.glob("*.sh"), *DOCKER.glob("*ockerfile")])
TOOLS = ("dferc", "ray", "mlflow")
UNKNOWN = (click.ClickException, typer.TyperException)
"""What the tools raise on words that they do not know; typer has a click of its own."""
VALUES = {"$RAY_HEAD_IP": "10.0.0.1", "$HOME": "/home/ubuntu"}


def strings(part) -> Iterator[str]:
    if isinstance(part, str):
        yield part
    for below in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        yield from strings(below)


def lines_of(path: Path) -> Iterator[str]:
    """What a file shows or runs: code blocks of a page, indented comments, strings of a manifest."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        blocks = re.findall(r"```(?:bash|sh)\n(.*?)```", text, re.DOTALL)
        yield from "\n".join(blocks).replace("\\\n", " ").splitlines()
    else:
        yield from re.findall(r"^# {3,}(\S.*)", text, re.MULTILINE)
    if path.suffix == ".yaml":
        for made in yaml.safe_load_all(text):
            for string in strings(made):
                yield from re.split(r"[;\n]", string)


def command_in(line: str) -> list[str]:
    """The command of one of our tools in a line, behind whatever starts it."""
    for name, value in VALUES.items():
        line = line.replace(name, value)
    try:
        words = shlex.split(line, comments=True)
    except ValueError:  # prose with an apostrophe
        return []
    if "docker/slurm.sh" in words:
        return ["dferc", *words[words.index("docker/slurm.sh") + 1 :]]
    if words[:2] == ["docker", "run"]:
        return ["dferc", *words[next(i for i, word in enumerate(words) if word.split(":")[0] == "dferc") + 1 :]]
    inside = words[:1] == ["docker"] and "exec" in words
    for i, word in enumerate(words):
        if word in TOOLS and (inside or all("=" in before for before in words[:i])):
            return words[i:] if words[i + 1 :] else []  # a name alone is no command
    return []


def commands() -> Iterator[object]:
    for path in [*MANIFESTS, *OTHERS, DOCKER / "README.md"]:
        for line in lines_of(path):
            if words := command_in(line):
                yield pytest.param(words, id=f"{path.name}: {' '.join(words)[:70]}")
    services = yaml.safe_load((DOCKER / "compose.yaml").read_text(encoding="utf-8"))["services"]
    for name in ("head", "worker", "mlflow"):
        words = [*services[name]["entrypoint"], *services[name]["command"]]
        yield pytest.param(words[words[0] == "with_secrets" :], id=f"service {name}")
    for made in yaml.safe_load_all((DOCKER / "kuberay" / "raycluster.yaml").read_text(encoding="utf-8")):
        for group in (made["spec"]["headGroupSpec"], *made["spec"]["workerGroupSpecs"]):
            options = [f"--{name}={value}" for name, value in group["rayStartParams"].items()]
            yield pytest.param(["ray", "start", *options], id=f"pod {group.get('groupName', 'head')}")


def command_line(tool: str) -> Any:
    """The real command line of a tool."""
    if tool == "ray":
        from ray.scripts.scripts import cli

        return cli
    if tool == "mlflow":
        from mlflow.cli import cli

        return cli
    return typer.main.get_command(app)


def parse(command: Any, words: list[str], parent: Any = None) -> None:
    """Let the tool read its words as far as that goes without running it.

    Raises:
        one of UNKNOWN: it does not know them.
    """
    with command.make_context(words[0], words[1:], parent) as context:
        if hasattr(command, "resolve_command"):
            rest = [*context._protected_args, *context.args]
            _, below, rest = command.resolve_command(context, rest)
            parse(below, [below.name, *rest], context)
        elif behind := context.params.get("command"):
            parse(command_line("dferc"), ["dferc", *behind[behind[0] == "dferc" :]])


@pytest.mark.parametrize("words", commands())
def test_commands_are_accepted(words):
    parse(command_line(words[0]), words)


@pytest.mark.parametrize(
    "line",
    [
        "dferc sweeps df_erc",
        "docker compose exec head dferc submit -- sweep df_erc --trails 8",
        "sbatch docker/slurm.sh compare --no-such-option",
        ". ~/settings.sh; ray start --head --no-such-option=1",
        "ray start --port=many",
        "mlflow server --no-such-option",
    ],
)
def test_commands_that_are_wrong_are_noticed(line):
    words = command_in(line.split("; ")[-1])
    with pytest.raises(UNKNOWN):
        parse(command_line(words[0]), words)


def test_every_kind_of_file_is_looked_into():
    from_files = {parameter.id.split(":")[0] for parameter in commands()}
    assert {
        "README.md",
        "rayjob.yaml",
        "ray-up.yaml",
        "slurm.sh",
        "Dockerfile",
        "service head",
        "pod gpu-spot",
    } <= from_files
