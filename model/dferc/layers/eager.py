"""Parts of a model that stay outside ``torch.compile``."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import torch

Function = TypeVar("Function", bound=Callable[..., Any])


def eager(function: Function) -> Function:
    """Run a function as it is written, also inside a compiled model."""
    return cast(Function, torch.compiler.disable(function))  # type: ignore[no-untyped-call]
