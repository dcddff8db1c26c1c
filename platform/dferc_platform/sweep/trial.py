"""One trial, in the reused actor of a Ray Tune function: it pays for its training and for nothing else."""

import json
import socket
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from dferc.corpus import Corpus
from dferc.errors import UserError
from dferc_platform.away import StoreAwayError
from dferc_platform.config import make_config
from dferc_platform.identity import code_version
from dferc_platform.results import is_study, read_study
from dferc_platform.saved import open_corpus
from dferc_platform.stall import FILE, stall_minutes, watched
from dferc_platform.storage import Claim, claimed, located, portable, require_visible
from dferc_platform.sweep.job import SweepJob
from dferc_platform.sweep.ledger import Proposal
from dferc_platform.sweep.lock import alone
from dferc_platform.sweep.outcome import failure
from dferc_platform.train import train_run


def payload(job: SweepJob, proposal: Proposal) -> dict[str, Any]:
    """What Tune hands to the trial: plain values, the config as text because Tune takes nested ones apart."""
    results, folder = portable(job.run_folder(proposal))
    return {
        "study": job.study.key,
        "number": proposal.number,
        "key": proposal.key,
        "config": proposal.config.model_dump_json(),
        "results": results,
        "folder": folder,
        "metric": job.space.metric,
        "threads": job.resources.threads,
        "device": job.resources.device,
        "resources": job.resources.as_json(),
        "stall_minutes": stall_minutes(),
    }


def bundle(given: Mapping[str, Any]) -> Any:
    """What the trial takes, as Tune asks Ray for it; each trial may take something else."""
    from ray import tune

    return tune.PlacementGroupFactory([json.loads(given["resources"])])


def run_trial(given: dict[str, Any]) -> None:
    """Train the run, or go on with it; an error is reported, so that it costs this trial and no other."""
    import torch
    from ray import tune

    torch.set_num_threads(given["threads"])
    try:
        folder = located(given["results"], given["folder"])
        with alone(folder, wait=True), claimed(folder) as claim, _explained(folder, claim):
            _train(given, folder, claim)
            claim.push()
    except Exception as error:
        outcome = failure(error, given["folder"])
        tune.report({"error": outcome.error, "lasting": outcome.lasting, "ends_all": outcome.ends_all})


def _train(given: dict[str, Any], folder: Path, claim: Claim) -> None:
    if not given["results"]:
        study = folder.parent.parent
        require_visible(study, lambda: is_study(study) and read_study(study).key == given["study"])
    config = make_config(json.loads(given["config"]))
    corpus = _corpus(config.corpus)
    _require_same(config.key(corpus.fingerprint, code_version()), given["key"])
    with watched(TuneReporter(given["metric"], claim), folder / FILE, given["stall_minutes"]) as reporter:
        train_run(config, corpus, folder, reporter, device=given["device"])


@contextmanager
def _explained(folder: Path, claim: Claim) -> Iterator[None]:
    """What goes wrong in the block is written into the run folder."""
    try:
        yield
    except Exception:
        with suppress(OSError, UserError, StoreAwayError):  # a full disk or the store may be what went wrong
            (folder / "error.txt").write_text(traceback.format_exc(), encoding="utf-8")
            claim.push()
        raise


class TuneReporter:
    """Tells Ray Tune of every epoch; where Tune wants the trial to stop, its call does not return."""

    def __init__(self, metric: str, claim: Claim) -> None:
        self._metric, self._claim = metric, claim

    def report(self, metrics: dict[str, float], checkpoint: Path | None) -> None:
        """The epoch and the metric for the scheduler, the whole line for tracking; the run folder has the weights."""
        from ray import tune

        self._claim.epoch_is_done()
        said = {"epoch": metrics["epoch"], self._metric: metrics[self._metric], "node": socket.gethostname()}
        tune.report(said | {"line": metrics})


def _require_same(key: str, driver: str) -> None:
    """Refuse to train what the driver would take for another run."""
    if key != driver:
        raise UserError(
            f"the code or the corpus on {socket.gethostname()} is not the driver's: "
            "give every node the same, and change neither while a sweep runs"
        )


@lru_cache(maxsize=2)
def _corpus(name: str) -> Corpus:
    """Mapped into memory once an actor."""
    return open_corpus(name)
