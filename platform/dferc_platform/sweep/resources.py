"""What one trial takes, and how many of them the cluster can hold."""

import json
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

from dferc.errors import UserError
from dferc_platform import capacity


@dataclass(frozen=True)
class Resources:
    """What one trial takes."""

    cpus: float = 1.0
    gpus: float = 0.0
    """0.5 puts two trials on one GPU; it does not divide the GPU's memory."""
    memory: float = 0.0
    """Bytes of its node that are set aside for it; 0: none are, and Ray packs trials by CPU and GPU alone."""

    @property
    def device(self) -> str:
        """Where the trial's tensors live."""
        return "cuda" if self.gpus else "cpu"

    @property
    def threads(self) -> int:
        """Threads of torch; Ray leaves them at one."""
        return max(1, int(self.cpus))

    def as_ray(self) -> dict[str, float]:
        """As Ray counts them."""
        amounts = {"CPU": self.cpus, "GPU": self.gpus, "memory": self.memory}
        return {name: amount for name, amount in amounts.items() if amount or name == "CPU"}

    def as_json(self) -> str:
        """As Ray counts them, in a text that survives Tune, which takes nested values apart."""
        return json.dumps(self.as_ray())

    def __str__(self) -> str:
        return capacity.amounts(self.as_ray())


ONE_CPU = Resources()


def room(resources: Resources) -> int:
    """How many trials fit on the cluster that we are connected to; 0 where nodes are yet to be started for them.

    Raises:
        UserError: no node can ever hold a trial, so the sweep would wait for ever.
    """
    nodes = capacity.nodes()
    fitting = sum(capacity.fit(node, resources.as_ray()) for node in nodes)
    if fitting or capacity.grows():
        return fitting
    largest = max(nodes, key=lambda node: (node.get("GPU", 0), node.get("CPU", 0), node.get("memory", 0)))
    has = capacity.amounts({name: largest.get(name, 0) for name in ("CPU", *resources.as_ray())})
    raise UserError(
        f"a trial of {resources} fits on no node of the cluster; the largest has {has}: ask for less, "
        f"or set {capacity.AUTOSCALES}=1 where nodes are started when work waits for them"
    )


class Admission:
    """How many trials are given to Ray at a time; looks at the cluster as it is now, for nodes come and go.

    On a cluster that grows by itself, as many again as fit wait for nodes, so that it doubles as long as there are
    trials left. All of them at once would leave a sampler nothing to learn from.
    """

    AHEAD = 4
    """Trials that wait for nodes, at least."""
    FRESH = 2.0
    """Seconds for which a look at the cluster counts."""

    def __init__(
        self,
        concurrency: int | None,
        grows: bool,
        nodes: Callable[[], list[dict[str, float]]] = capacity.nodes,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._concurrency, self._grows, self._look, self._clock = concurrency, grows, nodes, clock
        self._nodes: list[dict[str, float]] = []
        self._looked = -self.FRESH

    def admits(self, given: Collection[Resources]) -> bool:
        """Whether one more may be given out beside these, which have not ended."""
        if self._concurrency is not None:
            return len(given) < self._concurrency
        taken = sum(1 / max(1, self._room(resources)) for resources in given)  # shares of the cluster
        share = 1.0
        if self._grows:
            if len(given) < self.AHEAD:
                return True
            share = 2.0
        return not given or taken < share - capacity.TOLERANCE

    def _room(self, resources: Resources) -> int:
        if self._clock() - self._looked >= self.FRESH:
            self._nodes, self._looked = self._look(), self._clock()
        return sum(capacity.fit(node, resources.as_ray()) for node in self._nodes)
