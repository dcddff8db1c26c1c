"""A sweep that is to run, checked before anything is started or written."""

from dataclasses import dataclass
from pathlib import Path

from dferc.corpus import Corpus
from dferc.errors import UserError
from dferc_platform.config import RunConfig, with_settings
from dferc_platform.identity import code_version
from dferc_platform.results import Study
from dferc_platform.saved import SYNTHETIC, open_corpus
from dferc_platform.spaces import SearchSpace, check_space
from dferc_platform.spaces.parameters import Value
from dferc_platform.storage import pull
from dferc_platform.storage.uri import as_path
from dferc_platform.sweep.ledger import Proposal
from dferc_platform.sweep.progress import ProgressCallback
from dferc_platform.sweep.resources import ONE_CPU, Resources
from dferc_platform.sweep.study import check_folder, describe_study


@dataclass(frozen=True)
class SweepJob:
    """A sweep that is to run: its question, what all trials have in common, its place."""

    space: SearchSpace
    config: RunConfig
    study: Study
    folder: Path
    resources: Resources
    progress: ProgressCallback | None = None

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


def plan_job(
    space: SearchSpace,
    base: RunConfig,
    folder: Path,
    experiment: str,
    *,
    resume: bool = False,
    resources: Resources = ONE_CPU,
    progress: ProgressCallback | None = None,
    kind: str = "sweep",
) -> SweepJob:
    """A sweep that can run; the arguments are those of ``run_sweep``.

    Raises:
        UserError: the space does not fit, or the folder must not be used.
    """
    check_space(space, base)
    folder = Path(folder).resolve()
    pull(folder, runs=False)
    config, corpus = _common(space, base)
    study = describe_study(folder, kind, space, config, corpus, experiment)
    check_folder(folder, study, resume)
    return SweepJob(space, config, study, folder, resources, progress)


def _common(space: SearchSpace, base: RunConfig) -> tuple[RunConfig, Corpus]:
    """What all trials have in common, and their corpus, decoded so that every later opening is quick."""
    config = space.base(base)
    if config.corpus != SYNTHETIC:
        config = config.model_copy(update={"corpus": str(as_path(config.corpus) or config.corpus)})
    corpus = open_corpus(config.corpus)
    _, _, label = space.metric.partition("validation/f1/")
    if label and label not in corpus.card.labels:
        raise UserError(f"metric = {space.metric!r}: the classes of the corpus are {', '.join(corpus.card.labels)}")
    return config, corpus
