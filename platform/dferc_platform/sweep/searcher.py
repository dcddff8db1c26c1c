"""Between Ray Tune and the ledger: Tune asks here for trials."""

from collections.abc import Callable
from typing import Any

from ray.tune.search import Searcher

from dferc_platform.sweep.ledger import Ledger, Proposal


class NotPickled:
    """Tune pickles what it is given beside its own state; nobody reads it, and this holds threads and files."""

    def __getstate__(self) -> dict[str, Any]:
        return {}


class LedgerSearcher(NotPickled, Searcher):  # type: ignore[misc]
    """Gives Tune the trials that an earlier driver left open, then new ones.

    Ray's own OptunaSearch would tell Optuna that trials which ASHA stopped were complete, would lose those whose metric
    is not a number, and keeps what it knows in a pickle.
    """

    def __init__(self, ledger: Ledger, payload: Callable[[Proposal], dict[str, Any]]) -> None:
        super().__init__()
        self._ledger, self._payload = ledger, payload
        self._left_open = iter(ledger.open)
        self.exhausted = False

    def suggest(self, trial_id: str) -> Any:
        """The config of the next trial."""
        proposal = next(self._left_open, None) or self._ledger.ask()
        if proposal is None:
            self.exhausted = True
            return Searcher.FINISHED
        return self._payload(proposal)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """The observer, which knows more, tells the ledger."""

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None:
        """The ledger is on disk already."""
