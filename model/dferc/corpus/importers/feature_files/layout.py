"""What a layout of feature files is."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from dferc.corpus.contract import Split

Name = Literal["iemocap", "meld"]
"""A corpus by the name of its card."""
Form = Literal["fields", "samples", "utterances", "vectors"]
"""A sequence of fields; lists of samples by split; a list of dialogues of utterances; one dictionary of vectors."""
Role = Literal[
    "utterance ids", "genders", "parties", "numbered parties", "people", "labels", "label names", "sentiments",
    "vectors", "texts", "train", "test", "validation", "graph", "unused",
]  # fmt: skip

PARTIES = 9
"""Columns of the one-hot speakers of MELD's files."""
ORIGINAL, REFINED, ALONE = range(3)
"""Whose vectors win where joined files have the same modality: later ones were made to replace earlier ones."""


@dataclass(frozen=True)
class Field:
    """One field of a layout."""

    name: str
    """What the loaders call it."""
    role: Role
    modality: str = ""
    width: int = 0
    extractor: str = ""
    optional: bool = False


@dataclass(frozen=True)
class Layout:
    """One kind of feature file."""

    name: str
    source: str
    corpus: Name | None
    """None where the same layout occurs with the dialogues of both."""
    fields: tuple[Field, ...]
    form: Form = "fields"
    label_names: Mapping[int | str, str] | None = None
    """What stands in the file to the class; None where there are no labels."""
    belongs_to: str = ""
    """What the file is of no use without."""
    rank: int = ORIGINAL
    dialogues: Mapping[Split, int] | None = None
    """Dialogues in each of the files, where a split is a file of its own that does not say which."""
    own_validation: str = ""
    """How the file's own validation split was made, where it has one."""

    @property
    def modalities(self) -> tuple[Field, ...]:
        """The fields that hold vectors."""
        return tuple(field for field in self.fields if field.role == "vectors")

    @property
    def summary(self) -> str:
        """Number of fields and widths of the vectors, in a few words."""
        names, widths = [field.modality for field in self.modalities], [str(field.width) for field in self.modalities]
        if len(widths) > 3:
            counts = [(width, len(list(same))) for width, same in groupby(widths)]
            names, widths = ["vectors"], [f"{count} of {width}" if count > 1 else width for width, count in counts]
        form = {"fields": f"{len(self.fields)} fields", "vectors": "one dictionary", "samples": "samples by split"}
        return f"{form.get(self.form, 'JSON')}, {'/'.join(names)} {'/'.join(widths)}"
