"""The study that a sweep is: opened new, or gone on with where nothing that decides its numbers has changed."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from dferc.corpus import Corpus
from dferc.corpus.summary import counts
from dferc.errors import UserError
from dferc_platform.config import RunConfig
from dferc_platform.identity import code_version
from dferc_platform.results import Study, read_study
from dferc_platform.spaces import SearchSpace

SPENDING = ("description", "budget", "concurrency")
"""What may change when a sweep goes on: how much is spent on the question, not the question."""


def describe_study(
    folder: Path, kind: str, space: SearchSpace, config: RunConfig, corpus: Corpus, experiment: str
) -> Study:
    """The study of a sweep; its key changes with everything that decides its numbers."""
    described = Study(
        kind=kind,
        name=folder.name,
        key="",
        model=config.model_name,
        corpus=config.corpus,
        fingerprint=corpus.fingerprint,
        space=space.model_dump(mode="json"),
        config=config.model_dump(mode="json"),
        experiment=experiment,
        card=corpus.card.in_brief(),
        counts=counts(corpus),
    )
    content = json.dumps([kind, folder.name, _parts(described), code_version()], sort_keys=True)
    return replace(described, key=hashlib.sha256(content.encode()).hexdigest()[:16])


def check_folder(folder: Path, study: Study, resume: bool) -> None:
    """Refuse a folder in which this study must not go on.

    Raises:
        UserError: it holds a study and ``resume`` is false, or a study that differs.
    """
    if not (folder / "study.json").is_file():
        return
    if not resume:
        raise UserError(f"{folder} holds a study already: resume it, or choose another name")
    found = read_study(folder)
    if found.key == study.key:
        return
    then, now = _parts(found), _parts(study)
    changed = [what for what in now if then[what] != now[what]] or ["code"]
    raise UserError(
        f"{folder} cannot be resumed: its {' and '.join(changed)} changed since; start anew under another name"
    )


def _parts(study: Study) -> dict[str, Any]:
    space = {name: value for name, value in (study.space or {}).items() if name not in SPENDING}
    config = {name: value for name, value in study.config.items() if name != "corpus"}
    return {"search space": space, "base config": config, "corpus": study.fingerprint}
