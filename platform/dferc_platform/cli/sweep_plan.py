"""What a sweep would do and what it would cost, for its ``--dry-run``."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dferc_platform.cli.costs import Part, say_costs
from dferc_platform.cli.report import say, say_where
from dferc_platform.cli.tables import values_text

if TYPE_CHECKING:
    from dferc_platform.config import RunConfig
    from dferc_platform.costs import Sizes
    from dferc_platform.spaces import SearchSpace

MEASURED = 3
"""Trials of a plan that are timed: batch sizes, and so speeds, differ."""


def say_sweep_plan(
    space: "SearchSpace",
    base: "RunConfig",
    sizes: "Sizes",
    concurrency: int | None,
    folder: Path,
    seeds: Sequence[int] = (),
) -> None:
    """Say what a sweep would do and what it would cost, with the confirmation of its best by these seeds."""
    from dferc_platform.sweep import plan_sweep

    plan = plan_sweep(space, base)
    count = "as many trials as the time allows" if plan.trials is None else f"{plan.trials} trials"
    say(f"Would run {count} of at most {plan.epochs} epochs on {base.corpus}; it varies")
    for name, words in plan.varies.items():
        say(f"  {name}: {words}")
    say("The first trials:")
    for values in plan.first:
        say(f"  {values_text(values)}")
    parts = [part_of("search" if not space.is_grid else "grid", space, base, plan.trials, plan.first)]
    if seeds:
        from dferc_platform.studies.confirm import unsearched_space

        parts.append(part_of("confirmation", unsearched_space(space, seeds), base, len(seeds), plan.first))
    say_costs(parts, sizes, concurrency or space.concurrency)
    say_where("It would lie in", folder)


def part_of(
    name: str, space: "SearchSpace", base: "RunConfig", runs: int | None, first: Sequence[dict[str, object]]
) -> Part:
    """The runs of a space, of which the first few will be measured, and the one that needs most memory."""
    from dferc_platform.config import with_settings
    from dferc_platform.costs import heaviest

    config = space.base(base)
    some = tuple(with_settings(config, values) for values in first[:MEASURED]) or (config,)
    return Part(name, runs, some, heaviest(space, base))
