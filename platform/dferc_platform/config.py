"""One run, described whole: model, corpus, training, seed, protocol."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, SerializeAsAny, ValidationError, model_validator

from dferc.errors import UserError, nearest, setting_problems
from dferc.models import ModelConfig, model_named
from dferc.training import TrainingConfig
from dferc_platform.secrecy import with_passwords

SECTIONS = ("model", "training")


class RunConfig(BaseModel):
    """Everything that decides the numbers of one training run, but the content of the corpus."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model_name: str = Field("df_erc", description="name of a registered model")
    model: SerializeAsAny[ModelConfig]
    training: TrainingConfig = TrainingConfig()
    corpus: str = Field("synthetic", description="path of a corpus, or 'synthetic' for the embedded default")
    seed: int = Field(0, ge=0, description="sets everything that is random")
    protocol: Literal["strict", "published"] = Field(
        "strict",
        description="strict: validation chooses, test is scored once; published: the paper's habit, best test epoch, "
        "labelled so",
    )
    score_test: bool = Field(True, description="false keeps the test split sealed, as a sweep does")
    optimism: bool = Field(
        False,
        description="after each epoch test is scored too and written to a sealed file that nothing of the run reads "
        "before its own choice is made",
    )

    @model_validator(mode="after")
    def _optimism_has_a_strict_score_beside_it(self) -> Self:
        if self.optimism and not (self.score_test and self.protocol == "strict"):
            raise ValueError(
                "optimism = True is measured beside the strict score: it needs score_test and protocol strict"
            )
        return self

    def parameters(self) -> dict[str, Any]:
        """Every setting by its own short name (``beta``, ``learning_rate``, ``seed`` ...), for tables and tracking."""
        dumped = self.model_dump(mode="json")
        flat = {"model": dumped["model_name"], **{k: dumped[k] for k in ("corpus", "seed", "protocol")}}
        for section in SECTIONS:
            flat.update(dumped[section])
        return flat

    def key(self, fingerprint: str, code: str) -> str:
        """Identity of the run: the same config on the same corpus with the same code is the same run."""
        content = self.model_dump(mode="json", exclude={"corpus"})
        text = json.dumps([content, fingerprint, code], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def setting_names(model_name: str) -> dict[str, str]:
    """Short name of every setting to the section that holds it: model, training, or '' for the run itself."""
    names = dict.fromkeys(("seed", "protocol", "corpus"), "")
    names |= dict.fromkeys(TrainingConfig.model_fields, "training")
    return names | dict.fromkeys(model_named(model_name).config_type.model_fields, "model")


def make_config(settings: Mapping[str, Any], where: str = "the config", found: Sequence[str] = ()) -> RunConfig:
    """A config from nested settings, as a YAML file holds them: ``{model_name, model: {}, training: {}, seed, ...}``.

    Problems that were ``found`` before are named together with those found here.

    Raises:
        UserError: unknown keys or unfitting values; all of them are named.
    """
    if secret := sorted(set(with_passwords(settings))):
        raise UserError(
            f"{where}: {', '.join(secret)} holds a user with a password, which results and MLflow would keep: "
            "write the address without them"
        )
    content = dict(settings)
    model = model_named(content.get("model_name", "df_erc"))
    problems = list(found)
    parts: dict[str, Any] = {}
    for section, kind in (("model", model.config_type), ("training", TrainingConfig)):
        try:
            parts[section] = kind.model_validate(content.pop(section, None) or {})
        except ValidationError as error:
            problems += [f"{section}.{line}" for line in setting_problems(error, kind.model_fields)]
    try:
        config = RunConfig.model_validate(
            {**content, "model": parts.get("model", ModelConfig()), "training": parts.get("training", {})}
        )
    except ValidationError as error:
        problems += setting_problems(error, RunConfig.model_fields)
    if problems:
        raise UserError.collected(where, problems)
    return config


def with_settings(config: RunConfig, values: Mapping[str, Any], where: str = "the settings") -> RunConfig:
    """The config with some settings changed, each by its short name (``beta``) or with its section (``model.beta``).

    Raises:
        UserError: a name the model lacks or a value out of bounds; all of them are named.
    """
    names = setting_names(config.model_name)
    content: dict[str, Any] = config.model_dump()
    unknown = []
    for name, value in values.items():
        short = name.rsplit(".", 1)[-1]
        if short not in names or name not in (short, f"{names[short]}.{short}"):
            unknown.append(f"{name} is no setting of {config.model_name} or its training; {nearest(short, names)}")
        elif names[short]:
            content[names[short]][short] = value
        else:
            content[short] = value
    return make_config(content, where, unknown)


def read_config(
    path: Path | None, overrides: Sequence[str] = (), model: str | None = None, recipe: str | None = None
) -> RunConfig:
    """A config from a YAML file (or the defaults) and ``name=value`` pairs, whose values are read as YAML.

    Args:
        path: file of settings; None for the defaults.
        overrides: what outranks everything else.
        model: name of a model; None is the file's, or DF-ERC.
        recipe: corpus whose published settings are taken where the file says nothing.

    Raises:
        UserError: something unknown or unfitting; all of it.
    """
    content: Any = {} if path is None else read_yaml(path)
    if model is not None and content.setdefault("model_name", model) != model:
        raise UserError(f"{path} holds settings of {content['model_name']}, but {model} is asked for")
    config = make_config(_with_recipe(content, recipe), str(path or "the defaults"))
    return with_settings(config, read_pairs(overrides), "--set")


def read_pairs(pairs: Sequence[str]) -> dict[str, Any]:
    """Settings from the ``name=value`` pairs of ``--set``, whose values are read as YAML.

    Raises:
        UserError: one is no pair, or its value is not YAML.
    """
    values = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise UserError(f"--set {pair}: write NAME=VALUE, for example beta=0.2")
        try:
            values[name] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise UserError(f"--set {pair}: the value is not YAML; lists are written [text, audio]") from None
    return values


def _with_recipe(content: dict[str, Any], recipe: str | None) -> dict[str, Any]:
    """Settings of a file laid over those that were published for a corpus."""
    if recipe is None:
        return content
    model = model_named(content.get("model_name", "df_erc"))
    if recipe not in model.recipes:
        has = ", ".join(model.recipes) or "none"
        raise UserError(f"{model.name} has no published settings for {recipe!r}; it has them for: {has}")
    laid: dict[str, dict[str, Any]] = {section: {} for section in SECTIONS}
    for name, value in model.recipes[recipe].items():
        laid["training" if name in TrainingConfig.model_fields else "model"][name] = value
    return content | {section: laid[section] | dict(content.get(section) or {}) for section in SECTIONS}


def named_settings(path: Path) -> list[str]:
    """Short names of the settings of the model and its training that a YAML file names."""
    content = read_yaml(path)
    return [name for section in SECTIONS for name in content.get(section) or {}]


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML file that holds a mapping.

    Raises:
        UserError: there is no such file, or it is not that.
    """
    if not path.is_file():
        raise UserError(f"there is no file {path}")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise UserError(f"{path} must hold names and values, as `seed: 0` does")
    return content
