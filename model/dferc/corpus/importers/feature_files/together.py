"""The same done with many files, so that the problems of all are told at once."""

from collections.abc import Callable, Iterable
from typing import TypeVar

from dferc.corpus.tables import refuse
from dferc.errors import UserError

Given = TypeVar("Given")
Made = TypeVar("Made")


def of_all(make: Callable[[Given], Made], given: Iterable[Given]) -> list[Made]:
    """What becomes of each.

    Raises:
        UserError: some cannot be made; the problems of all are named.
    """
    made, problems = [], []
    for one in given:
        try:
            made.append(make(one))
        except UserError as error:
            problems.append(error)
    if len(problems) == 1:
        raise problems[0]
    refuse("this set of feature files", map(str, problems))
    return made
