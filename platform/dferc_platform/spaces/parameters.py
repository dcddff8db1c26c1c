"""The distributions of a search space: Optuna's own kinds."""

from collections.abc import Mapping
from typing import Annotated, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field

Value = bool | int | float | str | None
"""What a varied setting can be."""


class Suggester(Protocol):
    """The part of ``optuna.Trial`` that a space asks."""

    def suggest_float(self, name: str, low: float, high: float, *, step: float | None, log: bool) -> float:
        """A number between low and high, both included."""

    def suggest_int(self, name: str, low: int, high: int, *, step: int, log: bool) -> int:
        """A whole number between low and high, both included."""

    def suggest_categorical(self, name: str, choices: tuple[Value, ...]) -> Value:
        """One of the choices."""


class Strict(BaseModel):
    """Nothing unknown, nothing infinite, nothing changed later."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Conditional(Strict):
    """A parameter that may be part of some trials only."""

    when: dict[str, list[Value]] = Field(
        {}, description="only part of a trial where each of these parameters has one of these values"
    )

    def active(self, chosen: Mapping[str, Value]) -> bool:
        """Whether the parameter is part of a trial that chose these values."""
        return all(name in chosen and chosen[name] in values for name, values in self.when.items())


class FloatParameter(Conditional):
    """A number between low and high, both included."""

    kind: Literal["float"]
    low: float
    high: float
    log: bool = Field(False, description="sample evenly on a log scale")
    step: float | None = Field(None, description="only low, low + step, ...")

    def suggest(self, trial: Suggester, name: str) -> Value:
        """Ask the sampler."""
        return trial.suggest_float(name, self.low, self.high, step=self.step, log=self.log)

    def ends(self) -> tuple[Value, ...]:
        """Values that the setting must take for the range to fit it."""
        return self.low, self.high

    def grid(self) -> tuple[Value, ...] | None:
        """Every value; None for a continuous range."""
        if self.step is None:
            return None
        steps = int((self.high - self.low) / self.step + 1e-9)
        return tuple(round(self.low + i * self.step, 12) for i in range(steps + 1))

    def problems(self) -> list[str]:
        """What is wrong with the range."""
        return _range_problems(self)


class IntParameter(Conditional):
    """A whole number between low and high, both included."""

    kind: Literal["int"]
    low: int
    high: int
    log: bool = Field(False, description="sample evenly on a log scale")
    step: int | None = Field(None, description="only low, low + step, ...; 1 when left out")

    def suggest(self, trial: Suggester, name: str) -> Value:
        """Ask the sampler."""
        return trial.suggest_int(name, self.low, self.high, step=self.step or 1, log=self.log)

    def ends(self) -> tuple[Value, ...]:
        """Values that the setting must take for the range to fit it."""
        return self.low, self.high

    def grid(self) -> tuple[Value, ...] | None:
        """Every value."""
        return tuple(range(self.low, self.high + 1, self.step or 1))

    def problems(self) -> list[str]:
        """What is wrong with the range."""
        return _range_problems(self)


class CategoricalParameter(Conditional):
    """One of several values."""

    kind: Literal["categorical"]
    choices: tuple[Value, ...] = Field(min_length=1)

    def suggest(self, trial: Suggester, name: str) -> Value:
        """Ask the sampler."""
        return trial.suggest_categorical(name, self.choices)

    def ends(self) -> tuple[Value, ...]:
        """Values that the setting must take: all choices."""
        return self.choices

    def grid(self) -> tuple[Value, ...] | None:
        """Every choice."""
        return self.choices

    def problems(self) -> list[str]:
        """What is wrong with the choices."""
        twice = sorted({repr(choice) for choice in self.choices if self.choices.count(choice) > 1})
        return [f"choices holds {' and '.join(twice)} more than once"] if twice else []


Parameter = Annotated[FloatParameter | IntParameter | CategoricalParameter, Field(discriminator="kind")]


def _range_problems(parameter: FloatParameter | IntParameter) -> list[str]:
    low, high, step = parameter.low, parameter.high, parameter.step
    wrong = []
    if low >= high:
        wrong.append(f"low = {low} must be below high = {high}")
    if parameter.log and low <= 0:
        wrong.append(f"low = {low} must be above 0 on a log scale")
    if parameter.log and step is not None:
        wrong.append("log and step exclude each other")
    if step is not None and step <= 0:
        wrong.append(f"step = {step} must be above 0")
    return wrong
