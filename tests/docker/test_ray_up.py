"""The cluster launcher's file: Ray's own validation, what reaches the nodes, and what they are started with."""

import copy
from pathlib import Path

import jsonschema
import pytest
import yaml

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def config():
    return yaml.safe_load((ROOT / "docker" / "ray-up.yaml").read_text(encoding="utf-8"))


def validate(config):
    from ray.autoscaler._private.util import prepare_config, validate_config

    validate_config(prepare_config(copy.deepcopy(config)))


def test_ray_accepts_it(config):
    validate(config)


@pytest.mark.parametrize("wrong", [{"max_worker": 8}, {"available_node_types": {}}, {"idle_timeout_minutes": "ten"}])
def test_ray_would_notice_what_is_wrong(wrong, config):
    with pytest.raises((jsonschema.ValidationError, ValueError, KeyError)):
        validate({**config, **wrong})


def test_workers_are_of_the_spot_market_and_the_head_is_not(config):
    kinds = config["available_node_types"]
    spot = {name for name, kind in kinds.items() if "InstanceMarketOptions" in kind["node_config"]}
    assert spot == set(kinds) - {config["head_node_type"]}
    assert all(kinds[name]["min_workers"] == 0 for name in spot)
    assert kinds[config["head_node_type"]]["resources"] == {"CPU": 0}


def test_what_is_copied_to_the_nodes_exists_and_holds_one_secret(config):
    sources = [source for source in config["file_mounts"].values() if source != "docker/secrets/ray_token"]
    assert len(sources) == len(config["file_mounts"]) - 1
    assert all((ROOT / source).exists() for source in sources)
    assert not [source for source in sources if source in (".", "docker") or "secrets" in source]


def test_the_sources_on_the_nodes_are_those_that_an_image_is_built_from(config):
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").split() if line[0] == "!"}
    assert set(config["file_mounts"].values()) - {"docker/secrets/ray_token"} == {
        name for name in let_in if not name.startswith("docker/")
    }


def test_every_start_has_the_token_and_the_settings(config):
    (settings,) = [command for command in config["setup_commands"] if "settings.sh" in command]
    assert "RAY_AUTH_MODE=token" in settings
    starts = [*config["head_start_ray_commands"], *config["worker_start_ray_commands"]]
    assert all(command.startswith(". ~/settings.sh; ") for command in starts)
