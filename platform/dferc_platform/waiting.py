"""Says why work waits: what it asks for, what the cluster has, what is free, who holds the rest, what is being started.

Every trial of a sweep and every set of Ray Train's workers asks Ray for a placement group, and Ray knows which of them
it could not place yet, so nothing has to be told to this module.
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from dferc_platform import capacity
from dferc_platform.capacity import Growth, Holder, amounts

logger = logging.getLogger(__name__)

PATIENCE = 10.0
"""Seconds that a group may wait before anybody is told; on a quiet cluster it takes milliseconds."""
PAUSE = 2.0
"""Seconds between looks."""
NAMED = 3
"""Jobs that are named."""
PLACED, GONE = "CREATED", "REMOVED"


@dataclass(frozen=True)
class Cluster:
    """How the cluster stands."""

    nodes: list[dict[str, float]]
    free: Mapping[str, float]
    holders: list[Holder]
    growth: Growth | None
    grows: bool

    @classmethod
    def look(cls) -> "Cluster":
        """The one that we are connected to."""
        import ray

        growth = capacity.growth()
        return cls(capacity.nodes(), ray.available_resources(), capacity.holders(), growth, capacity.grows())

    @property
    def total(self) -> dict[str, float]:
        """What all nodes have together."""
        return dict(sum((Counter(node) for node in self.nodes), Counter()))


class Explainer:
    """Says why groups wait; again only when the reason changes, and once when the wait is over."""

    def __init__(
        self,
        what: str,
        say: Callable[[str], None] = logger.warning,
        groups: Callable[[], Mapping[str, Mapping[str, object]]] = capacity.groups,
        look: Callable[[], Cluster] = Cluster.look,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._what, self._say, self._groups, self._look, self._clock = what, say, groups, look, clock
        self._since: dict[str, float] = {}
        self._said: object = None

    def check(self) -> None:
        """Look once."""
        found = self._groups()
        waiting = {key: group for key, group in found.items() if group["state"] not in (PLACED, GONE)}
        now = self._clock()
        self._since = {key: self._since.get(key, now) for key in waiting}
        long = [group for key, group in waiting.items() if now - self._since[key] >= PATIENCE]
        if long:
            placed = sum(group["state"] == PLACED for group in found.values())
            self._explain([_asked(group) for group in long], placed)
        elif self._said is not None:
            self._said = None
            self._say(f"no {self._what} waits for resources any more")

    def _explain(self, asked: list[dict[str, float]], placed: int) -> None:
        cluster = self._look()
        largest = max(asked, key=lambda bundle: [bundle.get(name, 0) for name in ("GPU", "memory", "CPU")])
        fits = any(capacity.fit(node, largest) for node in cluster.nodes)
        reason = (largest, cluster.nodes, {holder.name for holder in cluster.holders}, cluster.growth, fits)
        if reason != self._said:  # counts change all the time, and are no reason
            self._said = reason
            self._say(_sentence(self._what, len(asked), placed, largest, fits, cluster))


def _asked(group: Mapping[str, object]) -> dict[str, float]:
    """The largest part of a group."""
    bundles: Mapping[int, dict[str, float]] = group["bundles"]  # type: ignore[assignment]
    return max(bundles.values(), key=lambda bundle: [bundle.get(name, 0) for name in ("GPU", "memory", "CPU")])


def _sentence(what: str, waiting: int, placed: int, asked: Mapping[str, float], fits: bool, cluster: Cluster) -> str:
    free = {name: cluster.free.get(name, 0.0) for name in asked}
    total = {name: cluster.total.get(name, 0.0) for name in asked}
    here = f"{len(cluster.nodes)} node{'' if len(cluster.nodes) == 1 else 's'}"
    parts = [
        f"{waiting} {what}{'s wait' if waiting > 1 else ' waits'} for {amounts(asked)}"
        f"{' each' if waiting > 1 else ''}, {placed or 'none'} placed: "
        f"the cluster has {amounts(total)} on {here}, free: {amounts(free)}"
    ]
    if not fits:
        parts.append("no node that is here has so much")
    elif cluster.holders:
        parts.append(", ".join(f"{one.name} holds {amounts(one.resources)}" for one in cluster.holders[:NAMED]))
    return "; ".join([*parts, _growing(cluster)])


def _growing(cluster: Cluster) -> str:
    if not cluster.grows:
        return "no node is started by itself here: it goes on when something ends or a node joins"
    growth = cluster.growth or Growth()
    starting = f"being started: {', '.join(growth.starting)}" if growth.starting else "no node is being started yet"
    return starting + (f"; could not be started: {', '.join(growth.failed)}" if growth.failed else "")


@contextmanager
def explained(what: str) -> Iterator[None]:
    """While the block runs, say why its placement groups wait; ``what`` is the word for one of them."""
    explainer, ended = Explainer(what), threading.Event()

    def watch() -> None:
        while not ended.wait(PAUSE):
            try:
                explainer.check()
            except Exception as error:  # the cluster is going, or Ray answers otherwise than today
                logger.debug("why work waits cannot be said: %s", error)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()
