"""What a command would cost, as one table, before it is launched; and what its trials are given."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

from dferc.errors import UserError
from dferc_platform.cli.durations import duration
from dferc_platform.cli.report import say

if TYPE_CHECKING:
    from dferc_platform.config import RunConfig
    from dferc_platform.costs import Cost, Sizes
    from dferc_platform.costs.probe import Measured
    from dferc_platform.sweep import Resources

WIDTH = 96
"""Columns of the table where the output goes to a file."""


@dataclass(frozen=True)
class Part:
    """Runs of a command that cost about the same."""

    name: str
    runs: int | None
    """None: as many as the time allows."""
    configs: "tuple[RunConfig, ...]"
    """Some of them, to be measured: batch sizes, and so speeds, differ."""
    heaviest: "RunConfig"
    """The one that needs most memory."""


@dataclass(frozen=True)
class Priced:
    """A part that was measured."""

    part: Part
    costs: "tuple[Cost, ...]"
    heaviest: "Cost"
    resources: "Resources"

    @property
    def seconds(self) -> float:
        """Of one run, on average."""
        return sum(cost.seconds for cost in self.costs) / len(self.costs)

    @property
    def hours(self) -> float:
        """Of all runs, one after the other."""
        return (self.part.runs or 1) * self.seconds / 3600

    @property
    def kept(self) -> int:
        """Bytes that all runs leave."""
        return (self.part.runs or 1) * sum(cost.kept for cost in self.costs) // len(self.costs)

    @property
    def tracked(self) -> int:
        """Bytes that MLflow keeps of them."""
        return (self.part.runs or 1) * sum(cost.tracked for cost in self.costs) // len(self.costs)


def say_costs(parts: Sequence[Part], sizes: "Sizes", concurrency: int | None, cpus: float = 1.0) -> None:
    """Measure a few steps of each part, here or on the cluster that RAY_ADDRESS names, and show what all would cost."""
    with _place() as on_cluster:
        priced, failed, together = _price(parts, sizes, on_cluster, cpus)
    if priced:
        _show(priced)
    for name, error in failed:
        say(f"{name} would fail: {error}")
    if priced:
        _sum_up(priced, min(concurrency or together, *(part.runs or together for part in parts)) or 1)
    where = f"on the cluster at {os.environ['RAY_ADDRESS']}" if on_cluster else "on this machine"
    say(f"Estimated from a few steps {where}; early stopping makes it less, and trials that run beside each other more")


@contextmanager
def sized(sizes: "Sizes", configs: "Sequence[RunConfig]") -> "Iterator[list[Resources]]":
    """What a trial of each config takes; where that must be measured, the cluster stays for the block."""
    from dferc_platform.cluster import connect
    from dferc_platform.costs import size
    from dferc_platform.results import results_folder

    if sizes.known is not None:
        yield [sizes.known] * len(configs)
        return
    with connect():
        say(f"Measuring how much memory a trial takes: {', '.join(config.model_name for config in configs)}")
        found = size(sizes, configs, results_folder())
        for config, resources in zip(configs, found, strict=True):
            say(f"A trial of {config.model_name} takes {resources}")
        yield found


@contextmanager
def _place() -> Iterator[bool]:
    """Join the cluster that RAY_ADDRESS names; without one nothing is started, and whether there is one."""
    if not os.environ.get("RAY_ADDRESS"):
        yield False
        return
    from dferc_platform.cluster import connect

    with connect():
        yield True


def _price(
    parts: Sequence[Part], sizes: "Sizes", on_cluster: bool, cpus: float
) -> tuple[list[Priced], list[tuple[str, UserError]], int]:
    from dferc_platform.costs.measure import TIMED

    resources = _resources(parts, sizes, on_cluster, cpus)
    some = [(each, config) for part, each in zip(parts, resources, strict=True) for config in part.configs]
    timed = _measure(some, on_cluster, TIMED)
    weighed = _measure([(each, part.heaviest) for part, each in zip(parts, resources, strict=True)], on_cluster, 0)
    priced: list[Priced] = []
    failed: list[tuple[str, UserError]] = []
    for part, each in zip(parts, resources, strict=True):
        costs = [timed[each, _same(config)] for config in part.configs]
        found = [*costs, weighed[each, _same(part.heaviest)]]
        errors = [one for one in found if isinstance(one, UserError)]
        if errors:
            failed.append((part.name, errors[0]))
            continue
        sound = [cost for cost in found if not isinstance(cost, UserError)]
        scored = tuple(cost.scored_as(config) for cost, config in zip(sound, part.configs, strict=False))
        priced.append(Priced(part, scored, sound[-1], each))
    return priced, failed, max((_at_a_time(each, on_cluster) for each in resources), default=1)


def _measure(
    asked: "Sequence[tuple[Resources, RunConfig]]", on_cluster: bool, timed: int
) -> "dict[tuple[Resources, str], Measured]":
    """Each config once, however many parts it is in."""
    from dferc_platform.costs import probe

    found: dict[tuple[Resources, str], Measured] = {}
    for resources in dict.fromkeys(each for each, _ in asked):
        configs = {_same(config): config for each, config in asked if each == resources}
        costs = probe(list(configs.values()), resources, on_cluster, timed)
        found |= {(resources, key): cost for key, cost in zip(configs, costs, strict=True)}
    return found


def _same(config: "RunConfig") -> str:
    """Equal for runs that take the same time and memory."""
    return str(config.model_dump_json(exclude={"seed", "score_test", "optimism", "protocol"}))


def _resources(parts: Sequence[Part], sizes: "Sizes", on_cluster: bool, cpus: float) -> "list[Resources]":
    from dferc_platform.costs import size
    from dferc_platform.results import results_folder
    from dferc_platform.sweep import Resources

    if on_cluster and sizes.known is None:
        return size(sizes, [part.heaviest for part in parts], results_folder())
    known = sizes.known or Resources(gpus=0.0)  # measured here, where nothing is packed
    return [Resources(cpus, known.gpus if on_cluster else 0.0, known.memory if on_cluster else 0.0)] * len(parts)


def _at_a_time(resources: "Resources", on_cluster: bool) -> int:
    from dferc_platform.sweep.resources import room

    return room(resources) if on_cluster else max(1, int((os.cpu_count() or 1) / resources.cpus))


def _show(priced: Sequence[Priced]) -> None:
    unit = "GPU" if any(one.resources.gpus for one in priced) else "CPU"
    table = Table(box=None, pad_edge=False)
    for title in ("", "runs", "epochs", "a run", f"{unit}-hours", "memory", "disk a run", "disk"):
        table.add_column(title, justify="right" if title else "left", no_wrap=bool(title))
    for one in priced:
        cost = one.costs[0]
        table.add_row(
            one.part.name,
            str(one.part.runs or "?"),
            str(cost.epochs),
            duration(one.seconds),
            _hours(one, unit),
            decimal(int(one.heaviest.peak_mb * 2**20)),
            decimal(sum(each.kept for each in one.costs) // len(one.costs)),
            decimal(one.kept) if one.part.runs else "?",
        )
    if len(priced) > 1 and all(one.part.runs for one in priced):
        amount = sum(one.hours * (one.resources.gpus if unit == "GPU" else one.resources.cpus) for one in priced)
        runs, kept = sum(one.part.runs or 0 for one in priced), sum(one.kept for one in priced)
        table.add_section()
        table.add_row("all", str(runs), "", "", f"{amount:.2g}", "", "", decimal(kept))
    console = Console()
    (console if console.is_terminal else Console(width=WIDTH)).print(table)


def _hours(one: Priced, unit: str) -> str:
    if one.part.runs is None:
        return "?"
    return f"{one.hours * (one.resources.gpus if unit == 'GPU' else one.resources.cpus):.2g}"


def _sum_up(priced: Sequence[Priced], together: int) -> None:
    takes = ", ".join(dict.fromkeys(str(one.resources) for one in priced))
    if all(one.part.runs for one in priced):
        wall = max(sum(one.hours for one in priced) * 3600 / together, max(one.seconds for one in priced))
        say(f"At {together} at a time about {duration(wall)}; a run takes {takes}")
    else:
        say(f"{together} at a time; a run takes {takes}")
    tracked = decimal(sum(one.tracked for one in priced))
    say(f"MLflow keeps a copy of {tracked} beside that: the best weights and the predictions of each run")
