"""What must not be in a job's description: Ray shows that to everybody who may use the cluster, and keeps it."""

import re
from collections.abc import Mapping, Sequence

from dferc.errors import UserError
from dferc_platform.secrecy import PASSWORD, without_secrets

ADVICE = "Ray shows a job's description to everybody; secrets belong on the nodes, in their own environment"
SECRET_WORDS = re.compile(
    r"PASSWORD|PASSWD|PASSPHRASE|SECRET|CREDENTIAL|PRIVATE|(^|_)(PWD|PAT|AUTH)$|(TOKEN|KEY)S?(_|$)", re.IGNORECASE
)
"""In the name of a variable. TOKENIZERS_PARALLELISM is none of them, AWS_ACCESS_KEY_ID is one."""
NO_SECRET = frozenset({"RAY_AUTH_MODE", "RAY_AUTH_TOKEN_PATH"})
"""How to show the token and where it lies, but not the token."""


def check_variables(variables: Mapping[str, str], whence: str) -> None:
    """Refuse environment variables that look like secrets.

    Raises:
        UserError: one does, by its name or by what it holds.
    """
    for name, value in variables.items():
        if name not in NO_SECRET and SECRET_WORDS.search(name):
            raise UserError(f"{whence} {name} looks like a secret: {ADVICE}")
        if PASSWORD.search(value):
            raise UserError(f"{whence} {name} holds a user with a password: {ADVICE} ({_remedy(name)})")


def check_words(words: Sequence[str]) -> None:
    """Refuse a command that names a password.

    Raises:
        UserError: one of its words is a URI with a user and a password.
    """
    for word in words:
        if PASSWORD.search(word):
            raise UserError(f"the command holds a user with a password, in {without_secrets(word)}: {ADVICE}")


def check_text(text: str, whence: str) -> None:
    """Refuse a text with a URI that names a password.

    Raises:
        UserError: it has one.
    """
    if PASSWORD.search(text):
        raise UserError(f"{whence} holds a user with a password: {ADVICE}")


def _remedy(name: str) -> str:
    if name == "MLFLOW_TRACKING_URI":
        return "as MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
    return "write the address without them"
