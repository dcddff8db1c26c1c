"""One kind of error for everything that a user can mend."""

import difflib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import ValidationError


class UserError(Exception):
    """What is wrong, where, and what would be right, in one sentence; the command line prints it and exits with 2."""

    @classmethod
    def collected(cls, where: str, problems: Iterable[str], most: int | None = None) -> "UserError":
        """All problems of one input at once, a line each; of more than ``most``, the first and how many follow."""
        listed = list(problems)
        if len(listed) == 1:
            return cls(f"{where}: {listed[0]}")
        lines = listed[:most]
        if len(lines) < len(listed):
            lines.append(f"and {len(listed) - len(lines)} more")
        return cls(f"{where} has {len(listed)} problems:\n" + "\n".join(f"  - {line}" for line in lines))


def setting_problems(error: "ValidationError", known: Iterable[str]) -> list[str]:
    """What is wrong with settings, a sentence each; ``known`` has the names that there are."""
    return [_setting_problem(detail, known) for detail in error.errors()]


def nearest(name: str, known: Iterable[str]) -> str:
    """What to try instead of a name that is not known."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    return f"did you mean {close[0]}?" if close else f"known are {', '.join(names)}"


def _setting_problem(detail: Any, known: Iterable[str]) -> str:
    at = ".".join(map(str, detail["loc"]))
    if detail["type"] == "extra_forbidden":
        return f"{at} is unknown" + (f"; {nearest(at, known)}" if len(detail["loc"]) == 1 else "")
    if detail["type"] == "string_type":
        return f"{at} = {detail['input']!r} must be text: write it in quotes"
    said = str(detail["msg"]).removeprefix("Value error, ")
    # of the settings together, the dump would say nothing
    return f"{at} = {detail['input']!r}: {said[:1].lower()}{said[1:]}" if at else said
