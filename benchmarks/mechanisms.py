"""Does each mechanism of DF-ERC do what it is for, where the truth is known? Synthetic conversations, several seeds.

Three questions: does CFM's weight for a modality follow how reliable the modality truly was; does CRM's gate open where
the modalities truly conflict; and what is lost, where its truth is present, when a mechanism is switched off. Weighted
F1 is on the test split, in percent; every interval is a 95 % t-interval over seeds, differences are paired by seed.

    python benchmarks/mechanisms.py [--seeds 5] [--epochs 20] [--corpus-seed 1]
"""

import argparse
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from scipy.stats import spearmanr

from dferc.corpus import Corpus
from dferc.corpus.batching import evaluation_plan
from dferc.corpus.synthetic import SyntheticConfig, generate
from dferc.evaluation.metrics import score_classes
from dferc.evaluation.statistics import Interval, mean_interval, paired_difference
from dferc.training import batches, make_learner
from dferc_platform.config import RunConfig, make_config, with_settings
from dferc_platform.saved import load_model
from dferc_platform.train import train_run

VARIANTS: dict[str, dict[str, Any]] = {
    "as published": {},
    "gate by predictions": {"consistency": "predictions"},
    "DDM off": {"disentangle": "off"},
    "CFM off (mean)": {"fusion": "mean"},
    "CRM off (no context)": {"context": "none", "prototypes": "off"},
    "CRM off (full context)": {"context": "full", "prototypes": "off"},
}
CLEAR = 0.5
"""Least reliability of all three modalities where conflict, not noise, is what makes them disagree."""

Look = dict[str, float]


def settings(epochs: int) -> RunConfig:
    """A width and a learning rate with which the synthetic corpus is learned in seconds."""
    training = {"epochs": epochs, "patience": epochs, "batch_dialogues": 8, "warmup_steps": 20, "learning_rate": 2e-3}
    config = make_config({"model": {"hidden": 64, "align": 64}, "training": training})
    return config.model_copy(update={"score_test": False})


def run(config: RunConfig, corpus: Corpus) -> Look:
    """Train once and hold what the model does on the test split against the truth."""
    with tempfile.TemporaryDirectory() as folder:
        train_run(config, corpus, Path(folder))
        return look(Path(folder), corpus)


@torch.no_grad()
def look(folder: Path, corpus: Corpus) -> Look:
    """Scores where each truth is present, and how the mechanisms follow it (Spearman correlations)."""
    model, config, _ = load_model(folder)
    learner = make_learner(model, config.training, 1, torch.device("cpu"))
    rows, predicted, seen = [], [], []
    for batch in batches(corpus, evaluation_plan(corpus.split("test"), 16), learner):
        output = model(batch)
        rows.append(batch.flat(batch.rows))
        predicted.append(batch.flat(output.logits).argmax(-1))
        seen.append({name: batch.flat(value) for name, value in output.diagnostics.items()})
    at = torch.cat(rows).numpy()
    diagnostics = {name: torch.cat([part[name] for part in seen]).numpy() for name in seen[0]}
    return scores(corpus, at, torch.cat(predicted).numpy()) | correlations(corpus, at, diagnostics)


def scores(corpus: Corpus, at: np.ndarray, predicted: np.ndarray) -> Look:
    """Weighted F1 over all utterances and over those where a truth is present."""
    labels = corpus.labels[at]
    return {
        f"F1 {name}": score_classes(labels[rows], predicted[rows], corpus.card.labels).weighted_f1
        for name, rows in where(corpus, at).items()
    }


def where(corpus: Corpus, at: np.ndarray) -> dict[str, np.ndarray]:
    """Which utterances [N] each truth is about."""
    reliability = np.stack([corpus.truth(f"reliability.{name}")[at] for name in corpus.card.modalities], 1)
    conflict = corpus.truth("conflict")[at].astype(bool)
    ambiguous = corpus.truth("ambiguous")[at].astype(bool)
    uneven = reliability.max(1) - reliability.min(1) > CLEAR
    return {
        "all": np.ones(len(at), dtype=bool),
        "conflict": conflict,
        "ambiguous": ambiguous,
        "uneven reliability": uneven & ~ambiguous,
    }


def correlations(corpus: Corpus, at: np.ndarray, diagnostics: Mapping[str, np.ndarray]) -> Look:
    """How weights follow reliability, and how the gate follows conflict where all is heard and seen clearly."""
    ambiguous = corpus.truth("ambiguous")[at].astype(bool)
    reliability = np.stack([corpus.truth(f"reliability.{name}")[at] for name in corpus.card.modalities], 1)
    found: Look = {}
    if "confidence" in diagnostics:
        for i, name in enumerate(corpus.card.modalities):
            there = corpus.present(name)[at]
            found[f"weight ~ reliability, {name}"] = rank_correlation(
                diagnostics["fusion_weights"][there, i], reliability[there, i]
            )
    if "consistency" in diagnostics:
        clear = (reliability.min(1) > CLEAR) & ~ambiguous
        gate, conflict = 1 - diagnostics["consistency"], corpus.truth("conflict")[at].astype(float)
        found["gate ~ conflict, all clear"] = rank_correlation(gate[clear], conflict[clear])
        found["gate ~ conflict, everywhere"] = rank_correlation(gate, conflict)
    return found


def rank_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Spearman's."""
    return float(spearmanr(first, second).statistic)


def shown(interval: Interval) -> str:
    """Mean and interval."""
    return f"{interval.mean:.2f} [{interval.low:.2f}, {interval.high:.2f}]"


def print_tables(looks: Mapping[str, list[Look]]) -> None:
    """What each variant reaches, and what switching off costs."""
    console, first = Console(width=160), next(iter(looks))
    names = sorted({name for runs in looks.values() for name in runs[0]})
    reached = Table("", *looks, title="Reached on test: mean over seeds [95 % interval]")
    for name in names:
        cells = [shown(mean_interval([r[name] for r in runs])) if name in runs[0] else "" for runs in looks.values()]
        reached.add_row(name, *cells)
    console.print(reached)
    others = [variant for variant in looks if variant != first]
    lost = Table("", *others, title=f"Weighted F1 gained over '{first}': mean paired difference [95 % interval]")
    for name in (name for name in names if name.startswith("F1")):
        base = [r[name] for r in looks[first]]
        lost.add_row(name, *[shown(paired_difference([r[name] for r in looks[v]], base)) for v in others])
    console.print(lost)


def main() -> None:
    """Train every variant with every seed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seeds", type=int, default=5, help="runs of each variant")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument(
        "--corpus-seed", type=int, default=1, help="of the conversations; 0 is the one used for tuning them"
    )
    given = parser.parse_args()
    torch.set_num_threads(1)
    corpus = Corpus.from_table(generate(SyntheticConfig(seed=given.corpus_seed)).table)
    base = settings(given.epochs)
    looks: dict[str, list[Look]] = {name: [] for name in VARIANTS}
    for seed in range(given.seeds):
        for name, changes in VARIANTS.items():
            looks[name].append(run(with_settings(base, changes | {"seed": seed}), corpus))
            print(f"seed {seed}, {name}: {looks[name][-1]['F1 all']:.1f}", flush=True)
    print_tables(looks)


if __name__ == "__main__":
    main()
