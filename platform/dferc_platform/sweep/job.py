"""What the parts of a running sweep share."""

from dataclasses import dataclass
from pathlib import Path

from dferc_platform.config import RunConfig, with_settings
from dferc_platform.identity import code_version
from dferc_platform.results import Study
from dferc_platform.spaces import SearchSpace
from dferc_platform.spaces.parameters import Value
from dferc_platform.sweep.ledger import Proposal
from dferc_platform.sweep.resources import Resources


@dataclass(frozen=True)
class SweepJob:
    """A sweep that is to run: its question, what all trials have in common, its place."""

    space: SearchSpace
    config: RunConfig
    study: Study
    folder: Path
    resources: Resources

    @property
    def total(self) -> int | None:
        """Number of trials; None: as many as the time allows."""
        return len(self.space.points()) if self.space.is_grid else self.space.budget.trials

    def propose(self, number: int, values: dict[str, Value]) -> Proposal:
        """A trial with these values."""
        config = with_settings(self.config, values, f"trial {number}")
        return Proposal(number, values, config, config.key(self.study.fingerprint, code_version()))

    def run_folder(self, proposal: Proposal) -> Path:
        """Where a trial's run lies."""
        return self.folder / "runs" / proposal.key
