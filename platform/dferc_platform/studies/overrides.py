"""What ``dferc compare --set`` fixes: ``MODEL.SETTING`` of one model, ``SETTING`` of every model that has it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dferc.errors import UserError, nearest
from dferc.models import models
from dferc_platform.config import SECTIONS, RunConfig, setting_names, with_settings

DECIDED = {"seed": "--seeds gives the seeds", "corpus": "--corpus names it", "protocol": "a comparison is strict"}
"""Settings that the comparison itself decides."""


def settings_of(model: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """What concerns one model, by short name; what names the model outranks what is for all."""
    names = setting_names(model)
    for_all = {_short(name): value for name, value in given.items() if not _owner(name)}
    own = {_short(name): value for name, value in given.items() if _owner(name) == model}
    return {name: value for name, value in for_all.items() if name in names} | own


def override_problems(compared: Sequence[str], bases: Mapping[str, RunConfig], given: Mapping[str, Any]) -> list[str]:
    """What is wrong with the settings, a sentence each.

    Args:
        compared: names of the models.
        bases: the config of each model without these settings.
        given: names as they were written, with their values.
    """
    misnamed = {name: list(_misnamed(name, compared)) for name in given}
    problems = [problem for found in misnamed.values() for problem in found]
    sound = {name: value for name, value in given.items() if not misnamed[name]}
    refusing: dict[str, list[str]] = {}
    for model in compared:
        for problem in _refused(bases[model], settings_of(model, sound)):
            refusing.setdefault(problem, []).append(model)
    return problems + [f"{problem} ({', '.join(by)})" for problem, by in refusing.items()]


def _misnamed(name: str, compared: Sequence[str]) -> Iterator[str]:
    first, dot, _ = name.partition(".")
    owner, short = _owner(name), _short(name)
    known = {setting for model in ([owner] if owner else compared) for setting in setting_names(model)}
    if dot and not owner and first not in SECTIONS:
        yield f"{name}: there is no model {first}; {nearest(first, models())}"
    elif owner and owner not in compared:
        yield f"{name}: {owner} is not compared; compared are {', '.join(compared)}"
    elif short in DECIDED:
        yield f"{name} is not for --set: {DECIDED[short]}"
    elif short not in known:
        yield f"{name} is no setting of {owner or 'any model compared'}; {nearest(short, known)}"


def _refused(base: RunConfig, values: Mapping[str, Any]) -> Iterator[str]:
    """What the model says to each value by itself; where it takes each, what it says to all of them together."""
    alone = [problem for name, value in values.items() for problem in _said(base, {name: value})]
    yield from alone or _said(base, values)


def _said(base: RunConfig, values: Mapping[str, Any]) -> Iterator[str]:
    try:
        with_settings(base, values, "")
    except UserError as error:
        yield str(error).removeprefix(": ")


def _owner(name: str) -> str | None:
    """The model that a name begins with."""
    first, dot, _ = name.partition(".")
    return first if dot and first in models() else None


def _short(name: str) -> str:
    return name.rsplit(".", 1)[-1]
