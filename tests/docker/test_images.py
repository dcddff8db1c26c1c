"""Dockerfiles and the scripts inside images: their linters, what goes in, and how secrets reach a process."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted((ROOT / "docker").glob("*.sh"))
DOCKERFILES = sorted((ROOT / "docker").glob("*ockerfile"))
SECRETS = {
    "aws_credentials",
    "database_password",
    "mlflow_admin_password",
    "mlflow_credentials",
    "mlflow_flask_key",
    "ray_token",
    "store_access_key",
    "store_secret_key",
}


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_dockerfiles_are_clean(path, tool):
    linted = tool("hadolint", path)
    assert linted.returncode == 0, linted.stdout


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_shell_scripts_are_clean_and_executable(path, tool):
    linted = tool("shellcheck", path)
    assert linted.returncode == 0, linted.stdout
    assert os.access(path, os.X_OK)


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_base_images_are_pinned_and_can_be_replaced_by_a_digest(path):
    text = path.read_text(encoding="utf-8")
    bases = dict(re.findall(r"^ARG (\w+)=(\S+:\S+)$", text, re.MULTILINE))
    used = re.findall(r"^FROM \$\{(\w+)\}", text, re.MULTILINE)
    assert used
    assert len(used) == len(re.findall(r"^FROM ", text, re.MULTILINE))
    assert all(re.search(r":v?\d+\.\d+\.\d+", bases[name]) for name in used)


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_images_do_not_run_as_root(path):
    assert re.findall(r"^USER (\S+)", path.read_text(encoding="utf-8"), re.MULTILINE)[-1] == "10001:10001"


def test_the_image_says_which_version_it_is():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert f"\nARG VERSION={version}\n" in (ROOT / "docker" / "Dockerfile").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_what_images_copy_exists_and_is_let_in(path):
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").split() if line[0] == "!"}
    copies = re.findall(r"^COPY (?!--from)(?:--\S+ )*(.+) \S+$", path.read_text(encoding="utf-8"), re.MULTILINE)
    names = {name for copy in copies for name in copy.split()}
    assert names
    assert all((ROOT / name).exists() for name in names)
    assert names <= let_in


def test_secrets_tests_and_results_stay_out_of_images():
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").split("\n")
    assert "*" in lines
    assert not [line for line in lines if line.startswith("!") and re.search("secrets/|tests|results|corpora", line)]
    assert "/docker/secrets/" in (ROOT / ".gitignore").read_text(encoding="utf-8").split()


def test_an_image_gets_what_the_project_and_the_chosen_extras_need():
    done = subprocess.run(
        [sys.executable, "docker/needed.py", "server"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    names = {Requirement(line).name for line in done.stdout.splitlines()}
    assert {"torch", "ray", "mlflow", "psycopg2-binary", "boto3"} <= names
    assert not {"pytest", "opensmile"} & names


def make_secrets(folder):
    subprocess.run([ROOT / "docker" / "make_secrets.sh", folder], capture_output=True, check=True)
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_secrets_are_made_once_each_another(tmp_path):
    made = make_secrets(tmp_path / "secrets")
    assert set(made) == SECRETS
    random = [value for name, value in made.items() if "credentials" not in name]
    assert len(set(random)) == len(random)
    assert min(map(len, random)) >= 20
    assert made["store_secret_key"] in made["aws_credentials"]
    assert made["mlflow_admin_password"] in made["mlflow_credentials"]
    assert make_secrets(tmp_path / "secrets") == made
    assert make_secrets(tmp_path / "others")["ray_token"] != made["ray_token"]


def test_only_the_owner_reaches_secrets_but_containers_under_any_id_can_read_them(tmp_path):
    make_secrets(tmp_path / "secrets")
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "secrets").iterdir()} == {0o444}


def test_a_secret_that_is_missing_from_an_old_folder_is_added(tmp_path):
    made = make_secrets(tmp_path)
    (tmp_path / "mlflow_flask_key").unlink()
    (tmp_path / "ray_token").chmod(0o600)
    (tmp_path / "ray_token").write_text("")  # as after a full disk
    again = make_secrets(tmp_path)
    assert again["mlflow_flask_key"] != made["mlflow_flask_key"]
    assert again["ray_token"]
    assert again["database_password"] == made["database_password"]


def with_secrets(folder, variables, *command):
    """The script as images have it, but for the place of secrets, which only root can make here."""
    script = (ROOT / "docker" / "with_secrets.sh").read_text(encoding="utf-8")
    moved = script.replace("/run/secrets/", f"{folder}/")
    assert moved != script
    words = ["sh", "-c", moved, "with_secrets", *command]
    environment = {"PATH": os.environ["PATH"], **variables}
    return subprocess.run(words, env=environment, capture_output=True, text=True, check=False)


def test_secrets_in_files_become_variables_of_one_process(tmp_path):
    (tmp_path / "password").write_text("a b $c 'd'\n")
    variables = {"PGPASSWORD_FILE": f"{tmp_path}/password", "OTHER_FILE": "/etc/hostname"}
    ran = with_secrets(tmp_path, variables, "sh", "-c", 'printf "%s|%s" "$PGPASSWORD" "${OTHER-unset}"')
    assert ran.stdout == "a b $c 'd'|unset"
    assert ran.stderr == ""


def test_a_command_behind_secrets_keeps_its_arguments_and_exit_code(tmp_path):
    ran = with_secrets(tmp_path, {}, "sh", "-c", 'printf "%s" "$1"; exit 7', "name", "two words")
    assert (ran.stdout, ran.returncode) == ("two words", 7)


@pytest.mark.parametrize("content", [None, ""])
def test_a_secret_that_is_missing_or_empty_stops_the_command(content, tmp_path):
    if content is not None:
        (tmp_path / "password").write_text(content)
    ran = with_secrets(tmp_path, {"PGPASSWORD_FILE": f"{tmp_path}/password"}, "echo", "started")
    assert ran.returncode == 1
    assert "make the secrets with docker/make_secrets.sh" in ran.stderr
    assert ran.stdout == ""
