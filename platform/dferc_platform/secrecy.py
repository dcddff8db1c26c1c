"""Secrets in what people write: a URI may hold a user with a password, and settings and errors are kept and shown."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

LOGIN = re.compile(r"(?:(?<=://)|(?<=:/))[^/\s]+@")  # with one slash where it was taken for a path
PASSWORD = re.compile(r"(?<=://)[^/\s@:]*:[^/\s]+@")


def without_secrets(text: str) -> str:
    """The text with ``user:password@`` taken out of every URI in it."""
    return LOGIN.sub("", text)


def with_passwords(settings: Mapping[str, Any]) -> Iterator[str]:
    """Names of the settings, nested ones too, that hold a URI with a password."""
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from with_passwords(value)
        elif PASSWORD.search(str(value)):
            yield name
