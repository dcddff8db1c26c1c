"""A password in a URI is refused where it would be kept, and never repeated."""

import pytest
from typer.testing import CliRunner

from dferc.errors import UserError
from dferc_platform.cli import app
from dferc_platform.cli.errors import explain
from dferc_platform.config import make_config, read_config, with_settings
from dferc_platform.results import read_run, write_verdict
from dferc_platform.secrecy import without_secrets

SECRET = "correct-horse"  # noqa: S105
ADDRESS = f"https://somebody:{SECRET}@host/mosi.parquet"


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("http://user:pass@host:5000/x", "http://host:5000/x"),
        (
            "API request to https://u:p%40s@h/api failed, postgresql://u:p@db/m",
            "API request to https://h/api failed, postgresql://db/m",
        ),
        ("http://user:p@ss@host", "http://host"),
        ("there is no file s3:/user:pass@bucket/x", "there is no file s3:/bucket/x"),
        ("mail me@example.org or http://host/@here", "mail me@example.org or http://host/@here"),
    ],
)
def test_without_secrets(text, clean):
    assert without_secrets(text) == clean


@pytest.mark.parametrize(
    "refused",
    [
        lambda: make_config({"corpus": ADDRESS}),
        lambda: make_config({"model_name": "hitrans", "model": {"backbone": ADDRESS}}),
        lambda: make_config({"model": {"beta": [ADDRESS]}}),
        lambda: make_config({"corpus": ADDRESS, "model": {"no_such_setting": ADDRESS}}),
        lambda: with_settings(make_config({}), {"corpus": ADDRESS}),
        lambda: read_config(None, [f"corpus={ADDRESS}"]),
    ],
)
def test_a_setting_with_a_password_is_refused_and_not_repeated(refused):
    with pytest.raises(UserError, match="holds a user with a password") as error:
        refused()
    assert SECRET not in str(error.value)


def test_an_address_without_a_password_is_a_setting():
    assert make_config({"corpus": "s3://bucket/mosi.parquet"}).corpus == "s3://bucket/mosi.parquet"


@pytest.mark.parametrize(
    "words",
    [
        ["train", "--corpus", ADDRESS],
        ["train", "--set", f"corpus={ADDRESS}"],
        ["train", "--set", f"corpus=[{ADDRESS}"],
        ["train", "--set", ADDRESS],
        ["--verbose", "train", "--corpus", ADDRESS],
        ["--results", ADDRESS, "train", "--epochs", "0"],
        ["sweep", ADDRESS],
        ["report", ADDRESS],
        ["data", "inspect", ADDRESS],
        ["predict", ADDRESS, ADDRESS],
        ["submit", "--", "train", "--corpus", ADDRESS],
    ],
)
def test_no_command_repeats_a_password(words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ran = CliRunner().invoke(app, words, env={"COLUMNS": "1000"})
    assert ran.exit_code == 2, ran.output
    assert SECRET not in ran.output
    assert not [path for path in tmp_path.rglob("*") if SECRET in path.name]


def test_the_log_of_an_unexpected_error_holds_no_password(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    try:
        raise RuntimeError(f"GET {ADDRESS} failed")
    except RuntimeError as error:
        sentence, code = explain(error)
    assert code == 1
    (log,) = tmp_path.glob("dferc-error-*.log")
    assert "GET https://host/mosi.parquet failed" in log.read_text()
    assert SECRET not in sentence + log.read_text()


def test_a_verdict_holds_no_password(tmp_path):
    write_verdict(tmp_path, "FAILED", varied={}, number=0, error=f"GET {ADDRESS} failed")
    assert read_run(tmp_path).error == "GET https://host/mosi.parquet failed"
