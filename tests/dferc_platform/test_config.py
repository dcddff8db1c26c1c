"""One run, described whole: what is read, what is refused, what makes two runs the same."""

import pytest
import yaml

from dferc.errors import UserError
from dferc_platform.config import make_config, read_config, setting_names, with_settings


def test_every_problem_is_named_at_once():
    with pytest.raises(UserError) as refused:
        make_config({"model": {"betta": 1, "beta": -1}, "training": {"epochs": 0}, "protocol": "lax", "sead": 3}, "it")
    said = str(refused.value)
    assert said.startswith("it has 5 problems:")
    for part in (
        "model.betta is unknown; did you mean beta?",
        "model.beta = -1",
        "training.epochs = 0",
        "protocol",
        "sead",
    ):
        assert part in said


def test_unknown_names_and_bad_values_of_a_command_are_named_together():
    with pytest.raises(UserError) as refused:
        read_config(None, ["betta=1", "epochs=0", "training.beta=0.2"])
    said = str(refused.value)
    assert "--set has 3 problems" in said
    assert "betta is no setting" in said
    assert "training.beta is no setting" in said
    assert "training.epochs = 0" in said


def test_a_setting_is_named_short_or_with_its_section():
    config = with_settings(make_config({}), {"beta": 0.3, "training.epochs": 7, "seed": 4})
    assert (config.parameters()["beta"], config.training.epochs, config.seed) == (0.3, 7, 4)


def test_short_names_are_unambiguous():
    config = make_config({})
    assert set(config.parameters()) == (set(setting_names("df_erc")) | {"model"})


def test_a_config_survives_yaml(tmp_path):
    config = with_settings(make_config({}), {"modalities": ["text", "audio"], "beta": 0.3, "protocol": "published"})
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(config.model_dump(mode="json")))
    assert read_config(path) == config


@pytest.mark.parametrize(
    ("content", "said"), [(None, "there is no file"), ("- 1\n", "must hold names and values"), ("a: [", "is not YAML")]
)
def test_a_file_that_is_no_config_is_refused(tmp_path, content, said):
    path = tmp_path / "config.yaml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UserError, match=said):
        read_config(path)


def test_the_key_follows_what_decides_the_numbers_and_nothing_else():
    config = make_config({})
    key = config.key("corpus", "code")
    assert config.model_copy(update={"corpus": "elsewhere.parquet"}).key("corpus", "code") == key
    others = [
        with_settings(config, {"beta": 0.2}).key("corpus", "code"),
        with_settings(config, {"seed": 1}).key("corpus", "code"),
        config.key("another", "code"),
        config.key("corpus", "newer"),
    ]
    assert len({key, *others}) == 5


def test_published_settings_are_taken_and_the_file_outranks_them(tmp_path):
    assert read_config(None, model="bc_lstm", recipe="meld").training.batch_dialogues == 32
    (tmp_path / "c.yaml").write_text("model_name: bc_lstm\ntraining: {batch_dialogues: 4}\n")
    config = read_config(tmp_path / "c.yaml", ["hidden=7"], recipe="meld")
    assert (config.training.batch_dialogues, config.training.learning_rate, config.model.hidden) == (4, 1e-4, 7)


def test_unknown_recipes_and_conflicting_models_are_refused(tmp_path):
    with pytest.raises(UserError, match="bc_lstm has no published settings for 'atlantis'; it has them for: iemocap, "):
        read_config(None, model="bc_lstm", recipe="atlantis")
    (tmp_path / "c.yaml").write_text("model_name: df_erc\n")
    with pytest.raises(UserError, match="holds settings of df_erc, but bc_lstm is asked for"):
        read_config(tmp_path / "c.yaml", model="bc_lstm")


@pytest.mark.parametrize("beside", [{"score_test": False}, {"protocol": "published"}])
def test_optimism_without_a_strict_test_score_is_refused(beside):
    assert make_config({"optimism": True}).optimism
    with pytest.raises(UserError, match="optimism = True is measured beside the strict score: it needs score_test and"):
        make_config({"optimism": True} | beside)
