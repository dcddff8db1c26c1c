"""Which layout a file has, told from its structure alone; for a file of none, which is nearest and what differs."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from dferc.corpus.importers.feature_files.fields import Fields, fields_of
from dferc.corpus.importers.feature_files.files import Opened
from dferc.corpus.importers.feature_files.layout import Field, Layout, Name
from dferc.corpus.importers.feature_files.layouts import LAYOUTS
from dferc.corpus.importers.feature_files.looks import EXPECTED, Look, difference, look
from dferc.errors import UserError

SURPLUS = 2
"""What a field too many or too few costs; one of another kind costs as much, another width half of it."""
ALIGNED = 5
"""Fields too many or too few up to which it is worth saying which."""
SHOWN_DIFFERENCES = 3
DIALOGUES = {"iemocap": "ids like 'Ses02F_script01_3'", "meld": "whole numbers"}


@dataclass(frozen=True)
class Recognised:
    """A file whose layout is known; nothing in it has been checked beyond the first utterance."""

    file: Opened
    layout: Layout
    corpus: Name
    values: Mapping[str, Any]
    """Modality or role to the field."""

    @property
    def where(self) -> str:
        """The file, for messages."""
        return f"{self.file.path} ({self.layout.name})"

    @property
    def names(self) -> Mapping[str, str]:
        """Modality or role to what the loaders call the field."""
        return {field.modality or field.role: field.name for field in self.layout.fields}


@dataclass(frozen=True)
class Comparison:
    """How far a file is from one layout."""

    cost: int
    differences: tuple[str, ...]


def recognised(file: Opened) -> Recognised:
    """The file with its layout.

    Raises:
        UserError: it has none; the nearest one is named, with what differs.
    """
    fields = fields_of(file.content)
    looks = tuple(look(value) for value in fields.values)
    of_form = [layout for layout in LAYOUTS if layout.form == fields.form]
    compared = [(_compared(fields, looks, layout), layout) for layout in of_form]
    comparison, layout = min(compared, key=lambda pair: (pair[0].cost, *_strangeness(looks, pair[1])))
    if comparison.differences:
        raise UserError(_refusal(file, layout, comparison.differences))
    corpus = next(found.corpus for found in looks if found.corpus)
    return Recognised(file, layout, corpus, _by_key(fields, layout))


def _strangeness(looks: Sequence[Look], layout: Layout) -> tuple[int, int]:
    """Which of two layouts of equal cost is farther: that of another number of fields, or of fewer widths in common."""
    common = Counter(field.width for field in layout.modalities) & Counter(found.width for found in looks)
    return abs(len(looks) - len(layout.fields)), -common.total()


def _refusal(file: Opened, layout: Layout, differences: Sequence[str]) -> str:
    more = len(differences) - SHOWN_DIFFERENCES
    shown = "; ".join(differences[:SHOWN_DIFFERENCES]) + (f"; and {more} more" if more > 0 else "")
    return f"{file.path} has no known layout: it is nearest to {layout.name} ({layout.summary}), but {shown}"


def _compared(fields: Fields, looks: Sequence[Look], layout: Layout) -> Comparison:
    if fields.names:
        found = _by_name(dict(zip(fields.names, looks, strict=True)), layout)
    elif fields.remarks and not looks:
        found = Comparison(SURPLUS * len(layout.fields), ())
    elif abs(len(looks) - len(layout.fields)) > ALIGNED:
        said = f"it has {len(looks)} field{'' if len(looks) == 1 else 's'} where {len(layout.fields)} are expected"
        found = Comparison(SURPLUS * max(len(looks), len(layout.fields)), (said,))
    else:
        found = _by_position(looks, layout)
    keyed = next((found for found in looks if found.dialogue is not None), None)
    strange = keyed is not None and (keyed.corpus is None or keyed.corpus != (layout.corpus or keyed.corpus))
    remarks = list(fields.remarks)
    if strange and keyed:
        expected = DIALOGUES[layout.corpus] if layout.corpus else " or ".join(DIALOGUES.values())
        remarks.append(f"its dialogues are called {str(keyed.dialogue)[:40]!r} where {expected} are expected")
    return Comparison(found.cost + len(remarks), (*remarks, *found.differences))


def _by_name(looks: Mapping[str, Look], layout: Layout) -> Comparison:
    cost, differences = 0, []
    for field in layout.fields:
        if field.name in looks:
            price, said = difference(looks[field.name], field)
        elif not field.optional:
            price, said = SURPLUS, _lacking(field)
        else:
            continue
        cost += price
        differences += [said] if said else []
    return Comparison(cost, tuple(differences))


def _by_position(looks: Sequence[Look], layout: Layout) -> Comparison:
    """The cheapest way to lay the file's fields beside the layout's, as the distance between two texts is found."""

    @cache
    def best(i: int, j: int) -> Comparison:
        """Of the fields from ``i`` on and those of the layout from ``j`` on."""
        ways = []
        if _are_swapped(looks[i : i + 2], layout.fields[j : j + 2]):
            names = " and ".join(field.name for field in layout.fields[j : j + 2])
            ways.append((best(i + 2, j + 2), SURPLUS, f"{names} are swapped"))
        if i < len(looks) and j < len(layout.fields):
            ways.append((best(i + 1, j + 1), *difference(looks[i], layout.fields[j])))
        if i < len(looks):
            ways.append((best(i + 1, j), SURPLUS, f"its field {i + 1} ({looks[i].said}) is one too many"))
        if j < len(layout.fields):
            ways.append((best(i, j + 1), SURPLUS, _lacking(layout.fields[j])))
        added = (
            Comparison(rest.cost + price, ((said, *rest.differences) if said else rest.differences))
            for rest, price, said in ways
        )
        return min(added, key=lambda way: way.cost, default=Comparison(0, ()))

    return best(0, 0)


def _are_swapped(looks: Sequence[Look], fields: Sequence[Field]) -> bool:
    """Whether two fields fit in each other's places only."""
    if len(looks) < 2 or len(fields) < 2:
        return False
    straight, crossed = (
        sum(difference(*pair)[0] for pair in zip(looks, order, strict=True)) for order in (fields, fields[::-1])
    )
    return straight > 0 and crossed == 0


def _lacking(field: Field) -> str:
    said = f"vectors of {field.width} numbers" if field.width else EXPECTED[field.role].said
    return f"it lacks {field.name} ({said})"


def _by_key(fields: Fields, layout: Layout) -> dict[str, Any]:
    if fields.names:
        found = dict(zip(fields.names, fields.values, strict=True))
        values = [found.get(field.name) for field in layout.fields]
    else:
        values = list(fields.values)
    return {
        field.modality or field.role: value
        for field, value in zip(layout.fields, values, strict=True)
        if field.role not in ("graph", "unused")
    }
