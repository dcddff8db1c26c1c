"""``dferc data extract`` where nothing is decoded: what it says and how it ends."""

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from dferc.corpus import Corpus
from dferc_platform.cli import app

TABLE = "dialogue,turn,speaker,text,label,split\nd1,0,A,hello,glad,train\nd1,1,B,bye,calm,train\n"


@pytest.fixture
def own(tmp_path: Path) -> Path:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "utterances.csv").write_text(TABLE)
    return tmp_path / "own"


def extract(*words: object) -> Result:
    return CliRunner().invoke(app, ["data", "extract", *map(str, words)], env={"COLUMNS": "200", "TERM": "dumb"})


def test_transcripts_alone_make_a_corpus(own: Path, tmp_path: Path) -> None:
    file = tmp_path / "alone.parquet"
    done = extract("own", own, "--text", "none", "--reading", "labels=glad,calm", "--out", file)
    assert done.exit_code == 0, done.output
    assert f"Wrote {file}: transcripts alone\n" in done.output
    assert Corpus.open(file).texts == ["hello", "bye"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((), "utterances.csv has no list of labels"),
        (("--reading", "labels"), "--reading labels: write NAME=VALUE"),
        (("--reading", "labels=glad,sad"), "row 3 has the label 'calm', must be one of glad, sad"),
        (("--like", "nowhere.parquet"), "there is no corpus at nowhere.parquet"),
        (("--like", "c.parquet", "--audio", "IS09"), "leave out --config and --audio"),
    ],
)
@pytest.mark.parametrize("dry", [(), ("--dry-run",)])
def test_mistakes_end_in_a_sentence_before_anything_is_extracted(own, tmp_path, words, sentence, dry) -> None:
    done = extract("own", own, *words, *dry, "--out", tmp_path / "c.parquet")
    assert done.exit_code == 2
    assert sentence in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["own"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((), "nothing is asked for: give --comet or --text"),
        (("--comet", "none"), "nothing is asked for: give --comet or --text"),
        (("--audio", "IS10"), "audio needs recordings"),
        (("--text", "roberta-large"), "text is there already, and nothing is replaced"),
        (("--comet", "/nowhere"), "'/nowhere' cannot be loaded"),
        (("--comet", "m", "--like", "c.parquet"), "--like and --reading are for recordings"),
        (("--comet", "m", "--reading", "a=b"), "--like and --reading are for recordings"),
    ],
)
@pytest.mark.parametrize("dry", [(), ("--dry-run",)])
def test_what_cannot_be_added_to_a_corpus_is_a_sentence(tiny_corpus, tmp_path, words, sentence, dry) -> None:
    done = extract("corpus", tiny_corpus, *words, *dry, "--out", tmp_path / "new.parquet")
    assert done.exit_code == 2
    assert sentence in done.stderr
    assert not (tmp_path / "new.parquet").exists()


def test_a_corpus_is_never_added_to_itself(tiny_corpus: Path) -> None:
    done = extract("corpus", tiny_corpus, "--comet", "m", "--out", tiny_corpus)
    assert done.exit_code == 2
    assert "is the corpus that is added to: name another file" in done.stderr
