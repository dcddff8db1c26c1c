"""What one trial takes, and how many of them the cluster can hold."""

from dataclasses import dataclass

from dferc.errors import UserError


@dataclass(frozen=True)
class Resources:
    """What one trial takes."""

    cpus: float = 1.0
    gpus: float = 0.0
    """0.5 puts two trials on one GPU; it does not divide the GPU's memory."""

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
        return {"CPU": self.cpus, "GPU": self.gpus} if self.gpus else {"CPU": self.cpus}

    def __str__(self) -> str:
        return " and ".join(f"{amount:g} {name}" for name, amount in self.as_ray().items())


ONE_CPU = Resources()


def room(resources: Resources) -> int:
    """How many trials fit on the cluster that we are connected to, at least one.

    Raises:
        UserError: no node can ever hold a trial, so the sweep would wait for ever.
    """
    import ray

    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    fitting = sum(_fit(node, resources.as_ray()) for node in nodes)
    if fitting:
        return fitting
    largest = max(nodes, key=lambda node: (node.get("GPU", 0), node.get("CPU", 0)))
    has = Resources(largest.get("CPU", 0), largest.get("GPU", 0))
    raise UserError(f"a trial of {resources} fits on no node of the cluster; the largest has {has}: ask for less")


def _fit(node: dict[str, float], wanted: dict[str, float]) -> int:
    tolerance = 1e-6  # 1 / 0.1 must be 10
    return min(int(node.get(name, 0) / amount + tolerance) for name, amount in wanted.items())
