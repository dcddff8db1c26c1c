"""One file a published model. A module in this folder that defines a ``Model`` with a name is thereby registered."""

import importlib
import inspect
import pkgutil
from functools import cache

from dferc.errors import UserError
from dferc.models.base import LossTerm, Model, ModelConfig, Output, Task, objective

__all__ = ["LossTerm", "Model", "ModelConfig", "Output", "Task", "model_named", "models", "objective"]


@cache
def models() -> dict[str, type[Model]]:
    """Every model by name."""
    found: dict[str, type[Model]] = {}
    for info in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f"{__name__}.{info.name}")
        for _, member in inspect.getmembers(module, inspect.isclass):
            if issubclass(member, Model) and member.__module__ == module.__name__ and "name" in vars(member):
                found[member.name] = member
    return found


def model_named(name: str) -> type[Model]:
    """The model of that name.

    Raises:
        UserError: no model has that name.
    """
    if name not in models():
        raise UserError(f"there is no model {name!r}; there are: {', '.join(sorted(models()))}")
    return models()[name]
