"""The trial of a search space that needs most memory, as far as that can be known beforehand."""

from dferc.errors import UserError
from dferc_platform.config import RunConfig, with_settings
from dferc_platform.spaces import SearchSpace
from dferc_platform.spaces.parameters import Value


class _Largest:
    """Proposes the largest of everything: sizes grow with their numbers, and rates cost nothing."""

    def suggest_float(self, name: str, low: float, high: float, *, step: float | None, log: bool) -> float:
        return high

    def suggest_int(self, name: str, low: int, high: int, *, step: int, log: bool) -> int:
        return high

    def suggest_categorical(self, name: str, choices: tuple[Value, ...]) -> Value:
        """The largest number; of words nobody knows which costs most, so the first, which is mostly the published."""
        numbers = [choice for choice in choices if isinstance(choice, int | float)]
        return max(numbers) if len(numbers) == len(choices) else choices[0]


def heaviest(space: SearchSpace, base: RunConfig) -> RunConfig:
    """The config with the largest value of all that the space varies; the base where these exclude each other."""
    config = space.base(base)
    try:
        return with_settings(config, space.suggest(_Largest()), "the largest values")
    except UserError:
        return config
