"""Search spaces as YAML files: the shipped ones by name, any other by its path."""

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from dferc.errors import UserError
from dferc_platform.config import make_config, read_yaml
from dferc_platform.spaces.check import space_problems
from dferc_platform.spaces.space import SearchSpace


def read_space(path_or_name: str | Path) -> SearchSpace:
    """The search space in a YAML file, or the shipped one of that name.

    Raises:
        UserError: there is no such file, or it does not fit its model; every problem is named.
    """
    path = _space_path(path_or_name)
    space, problems = _parse(read_yaml(path))
    if space is not None:
        problems += space_problems(space, make_config({"model_name": space.model}))
    if space is None or problems:
        raise UserError.collected(str(path), problems)
    return space


def space_names() -> list[str]:
    """Names of the shipped search spaces."""
    return sorted(path.stem for path in _shipped().glob("*.yaml"))


def _space_path(path_or_name: str | Path) -> Path:
    path = Path(path_or_name)
    if path.suffix or len(path.parts) > 1:
        return path
    shipped = _shipped() / f"{path}.yaml"
    if not shipped.is_file():
        raise UserError(
            f"there is no search space {str(path)!r}: shipped are {', '.join(space_names())}; a YAML file does too"
        )
    return shipped


def _shipped() -> Path:
    """The copy in an installed package, or the folder of the repository."""
    packaged = Path(__file__).parents[1] / "search_spaces"
    return packaged if packaged.is_dir() else Path(__file__).parents[3] / "search_spaces"


def _parse(content: dict[str, Any]) -> tuple[SearchSpace | None, list[str]]:
    """The space; or what is malformed and a space of the well-formed rest, so that its problems can be named too."""
    try:
        return SearchSpace.model_validate(content), []
    except ValidationError as error:
        problems = [_line(detail) for detail in error.errors()]
        broken = {detail["loc"] for detail in error.errors()}
    try:
        return SearchSpace.model_validate(_without(content, broken)), problems
    except ValidationError:
        return None, problems


def _without(content: dict[str, Any], broken: set[tuple[int | str, ...]]) -> dict[str, Any]:
    """The content without broken parts; of the parameters, only the broken ones go."""
    entries = {loc[1] for loc in broken if loc[0] == "parameters" and len(loc) > 1}
    sections = {loc[0] for loc in broken if loc[0] != "parameters" or len(loc) == 1}
    rest = {name: value for name, value in content.items() if name not in sections}
    if entries:
        rest["parameters"] = {name: value for name, value in content["parameters"].items() if name not in entries}
    return rest


def _line(detail: Any) -> str:
    loc = list(detail["loc"])
    if loc[0] == "parameters" and len(loc) > 3:
        del loc[2]  # where pydantic names the kind once more
    at = ".".join(map(str, loc))
    if detail["type"] == "extra_forbidden":
        return f"{at} is unknown"
    if detail["type"] == "missing":
        return f"{at} is missing"
    return f"{at} = {detail['input']!r}: {detail['msg'].lower()}"
