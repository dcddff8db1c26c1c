"""What a sweep has proposed and what became of it, in order: ``STUDY/ledger.jsonl``, a line an event.

    {"asked": 3, "values": {"beta": 0.2}, "key": "9f...", "elapsed": 12.5}
    {"told": 3, "outcome": {"status": "FINISHED", "value": 67.03, ...}, "elapsed": 80.1}
    {"again": 3}                                       a failed trial is repeated

``elapsed`` counts the seconds that the sweep has been running, pauses between drivers left out.
"""

import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dferc.errors import UserError
from dferc_platform.config import RunConfig
from dferc_platform.spaces import Budget
from dferc_platform.spaces.parameters import Value
from dferc_platform.storage import publish
from dferc_platform.sweep.outcome import Outcome
from dferc_platform.sweep.samplers import Sampler

REPEATED = Outcome("FAILED", error="the same values were proposed before", lasting=True)
MOST_REPEATED = 100
"""Proposals in a row that were made before: then the space has nothing new."""


@dataclass(frozen=True)
class Proposal:
    """A trial to run."""

    number: int
    varied: dict[str, Value]
    config: RunConfig
    key: str


class Ledger:
    """Asks a sampler, tells it outcomes, and writes both down before anybody acts on them."""

    def __init__(
        self,
        path: Path,
        sampler: Sampler,
        budget: Budget,
        propose: Callable[[int, dict[str, Value]], Proposal],
    ) -> None:
        self._path, self._sampler, self._budget, self._propose = path, sampler, budget, propose
        self._asked = 0
        self._before, self._started = 0.0, time.monotonic()
        self.proposals: dict[int, Proposal] = {}
        self.outcomes: dict[int, Outcome] = {}
        self._replay()

    @property
    def open(self) -> list[Proposal]:
        """Trials without an outcome."""
        return [proposal for number, proposal in self.proposals.items() if number not in self.outcomes]

    @property
    def elapsed(self) -> float:
        """Seconds that the sweep has been running."""
        return self._before + time.monotonic() - self._started

    def ask(self) -> Proposal | None:
        """A trial that has not been run; None when the budget is spent or the space has nothing new."""
        for _ in range(MOST_REPEATED):
            if self.spent:
                return None
            values = self._sampler.ask()
            if values is None:
                return None
            proposal = self._register(values)
            self._write({"asked": proposal.number, "values": values, "key": proposal.key})
            if proposal.number in self.proposals:
                return proposal
            self._sampler.tell(proposal.number, REPEATED)
        return None

    def tell(self, proposal: Proposal, outcome: Outcome) -> None:
        """Write down what became of a trial and let the sampler learn from it."""
        self._write({"told": proposal.number, "outcome": asdict(outcome)})
        self.outcomes[proposal.number] = outcome
        self._sampler.tell(proposal.number, outcome)

    def repeat_failed(self) -> None:
        """Open failed trials again, but for those that would fail again."""
        for number, outcome in list(self.outcomes.items()):
            if outcome.status == "FAILED" and not outcome.lasting:
                self._write({"again": number})
                del self.outcomes[number]

    @property
    def spent(self) -> bool:
        """Whether the budget allows no further trial."""
        trials, minutes = self._budget.trials, self._budget.minutes
        late = minutes is not None and self.elapsed > 60 * minutes
        return late or (trials is not None and len(self.proposals) >= trials)

    def _register(self, values: dict[str, Value]) -> Proposal:
        """Number the proposal, and keep it unless the same run was proposed before."""
        proposal = self._propose(self._asked, values)
        self._asked += 1
        if all(proposal.key != known.key for known in self.proposals.values()):
            self.proposals[proposal.number] = proposal
        return proposal

    def _replay(self) -> None:
        """Go through all that happened, so that the sampler and we know what we knew."""
        if not self._path.is_file():
            return
        whole, _, _cut_short = self._path.read_text(encoding="utf-8").rpartition("\n")
        events = [json.loads(line) for line in whole.splitlines()]
        os.truncate(self._path, len(f"{whole}\n".encode()) if whole else 0)
        for event in events:
            self._before = event["elapsed"]
            if "asked" in event:
                self._replay_asked(event)
            elif "told" in event:
                outcome = self.outcomes[event["told"]] = Outcome(**event["outcome"])
                self._sampler.tell(event["told"], outcome)
            else:
                del self.outcomes[event["again"]]

    def _replay_asked(self, event: dict[str, Any]) -> None:
        proposal = self._register(self._sampler.ask() or {})
        if (proposal.varied, proposal.key) != (event["values"], event["key"]):
            raise UserError(
                f"{self._path}: trial {event['asked']} would be proposed with other values today; "
                "resume with the Optuna version that began the sweep, or start it anew in another folder"
            )
        if proposal.number not in self.proposals:
            self._sampler.tell(proposal.number, REPEATED)

    def _write(self, event: dict[str, Any]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        line = (json.dumps({**event, "elapsed": round(self.elapsed, 3)}) + "\n").encode()
        with self._path.open("ab", buffering=0) as file:  # a buffer would write its rest after an error
            before = os.fstat(file.fileno()).st_size
            try:
                while line:  # a disk that is nearly full takes a part, and then none
                    line = line[file.write(line) :]
                os.fsync(file.fileno())
            except OSError:
                os.ftruncate(file.fileno(), before)  # the next line would be lost with half a one before it
                raise
        publish(self._path)
