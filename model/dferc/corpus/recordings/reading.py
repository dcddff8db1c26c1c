"""Recordings by the name of their layout, with options as they come from a command line."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from dferc.corpus.recordings.contract import Recordings
from dferc.corpus.recordings.emorynlp import read_emorynlp
from dferc.corpus.recordings.iemocap import read_iemocap
from dferc.corpus.recordings.meld import read_meld
from dferc.corpus.recordings.mosi import read_mosi
from dferc.corpus.recordings.own import read_own
from dferc.errors import UserError

LAYOUTS: Mapping[str, Callable[..., Recordings]] = {
    "meld": read_meld,
    "iemocap": read_iemocap,
    "emorynlp": read_emorynlp,
    "mosi": read_mosi,
    "own": read_own,
}
"""What reads each layout."""


def read_recordings(
    layout: str, place: Path, options: Mapping[str, str], classes: Sequence[str] | None = None
) -> Recordings:
    """The recordings at a place.

    Args:
        layout: a key of ``LAYOUTS``.
        place: their folder, or the table of own conversations.
        options: keyword arguments of the layout's reader, as text.
        classes: class names that a model knows; own conversations take them, others must have just these.

    Raises:
        UserError: there is no such option or value, the classes differ, or the recordings are not in this layout.
    """
    reader = LAYOUTS[layout]
    known = _options(reader)
    problems = [problem for name, value in options.items() if (problem := _problem(layout, known, name, value))]
    if problems:
        raise UserError.collected("the options of the reading", problems)
    chosen: dict[str, Any] = {name: value if known[name] else _listed(value) for name, value in options.items()}
    if layout == "own" and classes is not None:
        chosen["labels"] = classes
    recordings = reader(place, **chosen)
    if classes is not None and recordings.card.labels != tuple(classes):
        has = ", ".join(recordings.card.labels)
        raise UserError(f"{place} has the classes {has}, must have {', '.join(classes)}, which the model knows")
    return recordings


def _listed(value: str) -> list[str]:
    return [name.strip() for name in value.split(",")]


def _options(reader: Callable[..., Recordings]) -> dict[str, tuple[str, ...]]:
    """The reader's options with the values that they may have; nothing where a list of names is wanted."""
    hints = get_type_hints(reader)
    names = [p.name for p in inspect.signature(reader).parameters.values() if p.kind is p.KEYWORD_ONLY]
    return {name: _choices(hints[name]) for name in names}


def _choices(hint: Any) -> tuple[str, ...]:
    if hint is str:
        return ("...",)  # the reader itself knows which
    kinds = (hint, *get_args(hint))
    return tuple(value for kind in kinds if get_origin(kind) is Literal for value in get_args(kind))


def _problem(layout: str, known: Mapping[str, tuple[str, ...]], name: str, value: str) -> str | None:
    if name not in known:
        return f"{layout} has no option {name!r}; it has {', '.join(known) or 'none'}"
    choices = known[name]
    if choices and choices != ("...",) and value not in choices:
        return f"{name} = {value!r} must be one of {', '.join(choices)}"
    return None
