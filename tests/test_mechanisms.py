"""DF-ERC's mechanisms against the truth that synthetic conversations keep; benchmarks/mechanisms.py has a table."""

import importlib.util
from pathlib import Path

import pytest
import torch

from dferc.corpus.synthetic import SyntheticConfig, generate
from dferc_platform.config import with_settings


@pytest.fixture(scope="module")
def mechanisms():
    path = Path(__file__).parents[1] / "benchmarks" / "mechanisms.py"
    spec = importlib.util.spec_from_file_location("mechanisms", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def looks(mechanisms):
    """What three variants do on a corpus of their own; the bounds below lie far from what five seeds gave."""
    torch.set_num_threads(1)
    corpus = generate(SyntheticConfig(seed=2, train_dialogues=120))
    base = mechanisms.settings(epochs=12)
    wanted = ("as published", "gate by predictions", "CRM off (no context)")
    return {name: mechanisms.run(with_settings(base, mechanisms.VARIANTS[name]), corpus) for name in wanted}


def test_cfm_trusts_text_where_it_is_reliable(looks):
    assert looks["as published"]["weight ~ reliability, text"] > 0.2


def test_the_gate_by_predictions_follows_conflict(looks):
    assert looks["gate by predictions"]["gate ~ conflict, all clear"] > 0.4


def test_without_context_what_only_context_disambiguates_is_lost(looks):
    lost = looks["as published"]["F1 ambiguous"] - looks["CRM off (no context)"]["F1 ambiguous"]
    assert lost > 8
