"""Files that cannot be opened or are JSON of another kind, and machines that are too small."""

import json
import os
import re

import numpy as np
import pytest

from dferc.corpus.importers.feature_files import import_feature_files
from dferc.errors import UserError


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda u: u | {"cls": u["cls"][:768]}, "text has 768 numbers an utterance where 1024 are expected"),
        (lambda u: {k: v for k, v in u.items() if k != "cls"}, "it lacks cls (vectors of 1024 numbers)"),
        (lambda u: u | {"label": 3}, "label has whole numbers where names of labels are expected"),
        (lambda u: 5 if u["text"].endswith("impro01, turn 0.") else u, "1 of its dialogues are no lists of utterances"),
        (lambda u: u | {"cls": ["a"] * 1024}, "cls has lists that begin with a str where vectors"),
    ],
)
def test_utterances_that_are_not_dag_ercs(change, expected, writer, tmp_path):
    _, contents = writer.make("dag_erc-iemocap")
    path = tmp_path / "train.json"
    path.write_text(json.dumps([[change(u) for u in d] for d in contents["train.feature"]]))
    with pytest.raises(UserError, match=re.escape(expected)) as caught:
        import_feature_files([path])
    assert "nearest to DAG-ERC's IEMOCAP file (JSON, text 1024)" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[{", "begins like JSON but cannot be read"),
        ("[" * 100_000, "nested too deeply"),
        ("[]", "it has 0 fields"),
        (f"[{'7' * 5000}]", "begins like JSON but cannot be read"),
    ],
)
def test_json_that_is_none(text, expected, tmp_path):
    (tmp_path / "file").write_text(text)
    with pytest.raises(UserError, match=expected):
        import_feature_files([tmp_path])


def test_paths_that_are_not_there(tmp_path):
    with pytest.raises(UserError, match=r"there is no file or folder .*/absent"):
        import_feature_files([tmp_path / "absent"])
    with pytest.raises(UserError, match="there is no feature file in"):
        import_feature_files([tmp_path])
    with pytest.raises(UserError, match="no path at all"):
        import_feature_files([])


def test_paths_that_are_no_files(tmp_path):
    """A pipe would be waited for, and a link to itself has no end."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(UserError, match="has 2 problems"):
        import_feature_files([tmp_path / "pipe", tmp_path / "loop"])


def test_too_little_memory_is_said(writer, tmp_path, monkeypatch):
    _, contents = writer.make("mmgcn-iemocap")
    [path] = writer.write(tmp_path, contents)

    def stack(rows):
        raise MemoryError

    monkeypatch.setattr(np, "stack", stack)
    with pytest.raises(UserError, match=f"^{path}: there is not enough memory$"):
        import_feature_files([path])
