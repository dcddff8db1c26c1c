"""``dferc data verify``, ``card`` and ``diff``: what they print and how they end."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from typer.testing import CliRunner, Result

from dferc.corpus import Corpus
from dferc_platform.cli import app


def dferc(*words: object, columns: int = 200) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": str(columns), "TERM": "dumb"})


@pytest.fixture(scope="module")
def saved(make_corpus: Any, workplace: Path) -> Path:
    return make_corpus([3, 9, 2, 5, 7, 2]).save(workplace / "checks" / "saved.parquet")


@pytest.fixture
def wrong(saved: Path, tmp_path: Path) -> Path:
    """A corpus whose card has a hash that is none and whose scaling is not kept."""
    corpus = Corpus.open(saved)
    text = {**corpus.card.modalities["text"].model_dump(), "scaling": {"mean": [0] * 6, "scale": [1] * 6, "clip": 0.01}}
    card = corpus.card.model_dump() | {"modalities": {**corpus.card.model_dump()["modalities"], "text": text}}
    table = corpus.table.replace_schema_metadata({b"dferc.corpus": type(corpus.card)(**card).as_json()})
    return Corpus.from_table(table).save(tmp_path / "wrong.parquet")


@pytest.mark.parametrize("command", ["card", "diff", "fetch"])
def test_help_teaches(command: str) -> None:
    assert f"Example: dferc data {command}" in dferc("data", command, "--help").output


def test_verify_shows_the_good_and_the_odd(saved: Path) -> None:
    shown = dferc("data", "verify", saved)
    assert shown.exit_code == 0
    for said in ("good     contract", "warning  provenance", "label leakage", "keeps the contract", "0 wrong"):
        assert said in shown.output
    assert "label leakage" not in dferc("data", "verify", saved, "--quick").output


def test_exit_codes(saved: Path, wrong: Path) -> None:
    assert dferc("data", "verify", saved, "--quick", "--strict").exit_code == 2
    shown = dferc("data", "verify", wrong, "--quick")
    assert shown.exit_code == 2
    assert "but its card says that it was clipped at 0.01" in shown.output


def test_json_is_for_programs(wrong: Path) -> None:
    shown = dferc("data", "verify", wrong, "--quick", "--json", columns=20)
    assert shown.exit_code == 2
    found = json.loads(shown.stdout)
    assert found["fingerprint"] == Corpus.open(wrong).fingerprint
    assert [check["name"] for check in found["checks"] if check["verdict"] == "wrong"] == ["scaling"]


def test_card_is_written_or_printed(saved: Path, tmp_path: Path) -> None:
    printed = dferc("data", "card", saved, "--quick")
    assert printed.exit_code == 0
    assert printed.stdout.startswith("# random\n")
    for words in (["card", saved, "--quick", "--out"], ["verify", saved, "--quick", "--card"]):
        assert dferc("data", *words, tmp_path / "new" / "card.md").exit_code == 0
        assert (tmp_path / "new" / "card.md").read_text() == printed.stdout
        (tmp_path / "new" / "card.md").unlink()
    folder = dferc("data", "card", saved, "--quick", "--out", tmp_path)
    assert folder.exit_code == 2
    assert f"the card cannot be written to {tmp_path}" in folder.stderr


def test_diff(saved: Path, tmp_path: Path) -> None:
    corpus = Corpus.open(saved)
    texts = ["[bold]new[/bold]", *corpus.texts[1:]]
    other = Corpus.from_table(corpus.table.set_column(5, "text", pa.array(texts))).save(tmp_path / "other.parquet")
    same = dferc("data", "diff", saved, saved)
    assert (same.exit_code, same.output) == (0, f"The same content: {corpus.fingerprint}\n")
    shown = dferc("data", "diff", saved, other)
    assert shown.exit_code == 1
    for said in ("utterances text: 1", "d000 turn 0", "[bold]new[/bold]", "in both are equal"):
        assert said in shown.output
    assert json.loads(dferc("data", "diff", saved, other, "--json").stdout)["utterances"]["text"]["count"] == 1
    absent = dferc("data", "diff", saved, tmp_path / "nowhere.parquet")
    assert absent.exit_code == 2
    assert "there is no corpus at" in absent.stderr
