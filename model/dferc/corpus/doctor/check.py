"""What one check found."""

from collections.abc import Iterable
from typing import Literal

from pydantic import BaseModel, ConfigDict

Verdict = Literal["good", "mended", "warning", "wrong"]


class Check(BaseModel):
    """What was looked at, how it stands, and one sentence that says what, where, and what to do."""

    model_config = ConfigDict(frozen=True)

    name: str
    verdict: Verdict
    sentence: str
    where: str = ""
    """Split, modality or dialogue that it is about; empty where it is about all of the corpus."""


Found = tuple[str, str]
"""Where, and the sentence."""


def warnings_or_good(name: str, warnings: Iterable[Found], good: str) -> list[Check]:
    """A warning for each thing that was found; that all is good where nothing was."""
    found = [Check(name=name, verdict="warning", where=where, sentence=sentence) for where, sentence in warnings]
    return found or [Check(name=name, verdict="good", sentence=good)]
