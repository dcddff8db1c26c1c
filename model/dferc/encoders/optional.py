"""Libraries that only those need who start from recordings."""

import importlib
from typing import Any

from dferc.errors import UserError

PURPOSES = {"av": "to decode recordings", "cv2": "to find faces", "opensmile": "to describe speech"}


def optional(library: str) -> Any:
    """The imported library.

    Raises:
        UserError: it is not installed, or cannot be loaded.
    """
    try:
        return importlib.import_module(library)
    except (ImportError, OSError) as error:
        raise UserError(
            f'the library {library}, needed {PURPOSES[library]}, cannot be loaded ({error}): pip install "dferc[raw]"'
        ) from None
