"""Rules that no single module can keep alone: imports point downwards, every model is complete, nothing is unsafe."""

import ast
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from dferc.models import models
from dferc.training import TrainingConfig
from dferc_platform.cli import app
from dferc_platform.config import RunConfig
from dferc_platform.spaces import read_space

ROOT = Path(__file__).parents[1]
SOURCES = sorted(path for folder in ("model", "platform", "benchmarks") for path in (ROOT / folder).rglob("*.py"))
SPACES = sorted((ROOT / "search_spaces").glob("*.yaml"))

# From the bottom up. A module imports from its own layer and from those below; a new one must be given its place here.
LAYERS = {
    "dferc": [
        {"errors"},
        {"corpus"},
        {"encoders", "evaluation", "layers"},
        {"models"},
        {"training"},
    ],
    "dferc_platform": [
        {"away", "capacity", "checkpoint", "cluster", "config", "disk", "lifeline", "memory", "results", "secrecy"}
        | {"sharing", "storage", "waiting"},
        {"fetch", "identity", "jobs", "optimism", "predictions", "saved", "spaces", "supervise", "tracking"},
        {"extract", "fit", "predict", "stall", "train"},
        {"sweep"},
        {"costs", "report"},
        {"studies"},
        {"cli"},
        {"__main__"},
    ],
}
RUNS_IT = {"dferc_platform", "ray", "mlflow", "optuna"}
"""What the science knows nothing of."""


def imported(path):
    """Dotted names of everything that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def package_files(package):
    """Every file of a package with the name of its top-level module."""
    root = next((ROOT / source / package) for source in ("model", "platform") if (ROOT / source / package).is_dir())
    for path in root.rglob("*.py"):
        module = path.relative_to(root).with_suffix("").parts[0]
        if module != "__init__":
            yield path, module


@pytest.mark.parametrize("package", LAYERS)
def test_imports_point_downwards(package):
    height = {module: i for i, layer in enumerate(LAYERS[package]) for module in layer}
    upwards = []
    for path, module in package_files(package):
        for name in imported(path):
            head, _, rest = name.partition(".")
            target = rest.split(".")[0]
            if head == package and height[target] > height[module]:
                upwards.append(f"{path.relative_to(ROOT)} imports {name}")
    assert not upwards


def test_science_does_not_know_what_runs_it():
    guilty = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path, _ in package_files("dferc")
        for name in imported(path)
        if name.split(".")[0] in RUNS_IT
    ]
    assert not guilty


def test_source_roots_are_no_packages():
    assert not (ROOT / "platform" / "__init__.py").exists()
    assert not (ROOT / "model" / "__init__.py").exists()


@pytest.mark.parametrize("arguments", [["-c", "import platform; print(platform.system())"], ["-m", "platform"]])
def test_standard_platform_module_works_from_the_root(arguments):
    done = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip()


@pytest.mark.parametrize("name", models())
def test_every_model_is_complete(name):
    model = models()[name]
    assert model.citation.strip()
    assert model.__doc__
    for file in (f"search_spaces/{name}.yaml", f"docs/models/{name}.md", f"tests/dferc/models/test_{name}_golden.py"):
        assert (ROOT / file).is_file(), f"{name} lacks {file}"
    assert read_space(ROOT / "search_spaces" / f"{name}.yaml").model == name
    undocumented = [setting for setting, field in model.config_type.model_fields.items() if not field.description]
    assert not undocumented


def test_every_model_is_in_the_table_of_models():
    table = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    assert not [name for name in models() if f"](models/{name}.md)" not in table]


@pytest.mark.parametrize("name", models())
def test_every_setting_is_on_the_page_of_its_model(name):
    page = (ROOT / "docs" / "models" / f"{name}.md").read_text(encoding="utf-8")
    missing = [setting for setting in models()[name].config_type.model_fields if f"`{setting}`" not in page]
    assert not missing


@pytest.mark.parametrize("name", models())
def test_short_names_of_settings_are_unambiguous(name):
    of_model = set(models()[name].config_type.model_fields)
    of_training = set(TrainingConfig.model_fields)
    of_run = set(RunConfig.model_fields)
    assert not (of_model & of_training) | (of_model & of_run) | (of_training & of_run)


@pytest.mark.parametrize("path", SPACES, ids=lambda path: path.stem)
def test_every_search_space_loads(path):
    space = read_space(path)
    assert space.parameters
    assert space.description


def forbidden(call):
    """Why a call is unsafe, or nothing."""
    keywords = {keyword.arg: getattr(keyword.value, "value", None) for keyword in call.keywords}
    name = ast.unparse(call.func)
    never = {"eval", "exec", "os.system", "pickle.load", "pickle.loads", "yaml.load", "yaml.unsafe_load", "joblib.load"}
    return (
        (name in never and f"{name} runs what it reads")
        or (name == "torch.load" and keywords.get("weights_only") is not True and "torch.load without weights_only")
        or next((f"{k}=True" for k in ("shell", "allow_pickle", "trust_remote_code") if keywords.get(k)), None)
    )


@pytest.mark.parametrize(
    "code",
    [
        "eval(x)", "pickle.load(f)", "torch.load(f)", "torch.load(f, weights_only=False)", "yaml.load(f)",
        "subprocess.run(x, shell=True)", "np.load(f, allow_pickle=True)",
    ],
)  # fmt: skip
def test_unsafe_calls_are_recognised(code):
    assert forbidden(ast.parse(code).body[0].value)


@pytest.mark.parametrize("code", ["torch.load(f, weights_only=True)", "yaml.safe_load(f)", "model.eval()"])
def test_safe_calls_are_allowed(code):
    assert not forbidden(ast.parse(code).body[0].value)


def test_nothing_unsafe_is_called():
    guilty = [
        f"{path.relative_to(ROOT)}:{node.lineno}: {why}"
        for path in [*SOURCES, *(ROOT / "tests").rglob("*.py")]
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and (why := forbidden(node))
    ]
    assert not guilty


def documented_commands():
    """Every `dferc ...` line of the code blocks in README and docs, also those behind `--` of a job."""
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]:
        for block in re.findall(r"```(?:bash|sh)\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
            for line in block.replace("\\\n", " ").splitlines():
                words = shlex.split(line, comments=True)
                for i, word in enumerate(words):
                    if word == "dferc":
                        yield pytest.param(words[i + 1 :], id=" ".join(words[i:])[:80])


def unknown_words(command, words):
    """What a command line asks for that the command line interface does not have."""
    for i, word in enumerate(words):
        if word == "--":
            return [] if words[i + 1] == "dferc" else unknown_words(typer.main.get_command(app), words[i + 1 :])
        if word.startswith("-"):
            known = {name for parameter in command.params for name in parameter.opts}
            if word.split("=")[0] not in known:
                return [word]
        elif hasattr(command, "commands"):
            if word in command.commands:
                return unknown_words(command.commands[word], words[i + 1 :])
            if not is_value(command, words, i):
                return [word]
    return []


def is_value(command, words, i):
    """Whether word ``i`` is what the option before it wants."""
    takes = {name for p in command.params if not getattr(p, "is_flag", True) for name in p.opts}
    return i > 0 and words[i - 1] in takes


@pytest.mark.parametrize("words", documented_commands())
def test_documented_commands_exist(words):
    assert not unknown_words(typer.main.get_command(app), words)


def test_commands_that_do_not_exist_are_noticed():
    command = typer.main.get_command(app)
    assert unknown_words(command, ["no-such-command"])
    assert unknown_words(command, ["train", "--no-such-option"])
    assert unknown_words(command, ["submit", "--", "no-such-command"])
