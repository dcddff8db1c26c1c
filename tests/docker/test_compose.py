"""The compose file: its schema, and what makes it safe: loopback, secrets as files, no root, pinned images."""

import importlib.util
import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "docker").glob("compose*.yaml"))
SERVICES = ("database", "head", "mlflow", "store", "worker")
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]


def test_compose_files_follow_the_specification(tool):
    checked = tool("check-jsonschema", "--builtin-schema", "vendor.compose-spec", *FILES)
    assert checked.returncode == 0, checked.stdout


def test_what_is_tested_here_is_all_there_is(compose):
    assert sorted(compose["services"]) == sorted(SERVICES)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_published_ports_are_bound_to_loopback(path):
    services = yaml.safe_load(path.read_text(encoding="utf-8"))["services"]
    ports = [str(port) for service in services.values() for port in service.get("ports", [])]
    assert all(re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port) for port in ports)
    assert not [name for name, service in services.items() if "network_mode" in service]


def test_only_the_dashboard_and_mlflow_are_published(compose):
    assert {name for name, service in compose["services"].items() if "ports" in service} == {"head", "mlflow"}


def test_the_database_is_reached_by_mlflow_alone(compose):
    assert [name for name in SERVICES if "records" in compose["services"][name]["networks"]] == ["database", "mlflow"]
    assert compose["services"]["database"]["networks"] == ["records"]
    assert compose["networks"]["records"]["internal"] is True


@pytest.mark.parametrize("name", SERVICES)
def test_services_cannot_do_more_than_they_need(name, compose):
    service = compose["services"][name]
    assert service["user"] in ("10001:10001", "postgres")
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert service["read_only"] is True
    assert not {"privileged", "cap_add", "devices", "pid", "ipc"} & set(service)
    assert {"cpus", "memory", "pids"} <= set(service["deploy"]["resources"]["limits"])
    assert service["restart"] == "unless-stopped"
    assert service["healthcheck"]["test"][0] == "CMD"


@pytest.mark.parametrize("name", SERVICES)
def test_no_secret_stands_in_an_environment(name, compose):
    secret = re.compile("PASSWORD|SECRET|TOKEN|ACCESS_KEY|_KEY$")
    named = {key: value for key, value in compose["services"][name]["environment"].items() if secret.search(key)}
    assert all(value.startswith("/run/secrets/") for value in named.values())
    assert all(key.endswith(("_FILE", "_PATH")) for key in named)


def targets(service):
    """Where a service finds its secrets, by name of the secret."""
    listed = [each if isinstance(each, dict) else {"source": each} for each in service.get("secrets", [])]
    return {each["source"]: each.get("target", f"/run/secrets/{each['source']}") for each in listed}


@pytest.mark.parametrize("name", SERVICES)
def test_every_secret_that_a_service_reads_is_given_to_it(name, compose):
    service = compose["services"][name]
    read = [value for value in service["environment"].values() if str(value).startswith("/run/secrets/")]
    assert set(read) <= set(targets(service).values())


def test_every_secret_is_made_and_used(compose):
    made = set(re.findall(r"keep (\w+)$", (ROOT / "docker" / "make_secrets.sh").read_text(encoding="utf-8"), re.M))
    used = {secret for service in compose["services"].values() for secret in targets(service)}
    assert {name: entry["file"] for name, entry in compose["secrets"].items()} == {
        name: f"secrets/{name}" for name in made
    }
    assert used == made


def test_no_secret_is_given_to_whom_it_does_not_concern(compose):
    having = {name: set(targets(compose["services"][name])) for name in SERVICES}
    assert having["worker"] == having["head"] == {"ray_token", "aws_credentials", "mlflow_credentials"}
    assert having["database"] == {"database_password"}
    assert having["store"] == {"store_access_key", "store_secret_key"}


def test_every_image_is_pinned_to_a_version(compose):
    images = [service["image"] for service in compose["services"].values()]
    assert all(re.search(r":v?\d+\.\d+", image) for image in images)
    assert not [image for image in images if "latest" in image]


def test_images_are_named_as_the_project_is_and_as_their_base():
    for path in FILES:
        services = yaml.safe_load(path.read_text(encoding="utf-8"))["services"]
        own = {service["image"] for service in services.values() if service.get("image", "").startswith("dferc:")}
        assert {image.removesuffix("-cuda") for image in own} == {f"dferc:{VERSION}"}
    base = (ROOT / "docker" / "store.Dockerfile").read_text(encoding="utf-8")
    store = yaml.safe_load((ROOT / "docker" / "compose.yaml").read_text(encoding="utf-8"))["services"]["store"]
    assert f":v{store['image'].split(':')[1]}\n" in base


def test_what_is_mounted_from_the_repository_exists(compose):
    files = [entry["file"] for entry in compose["configs"].values()]
    assert files
    assert all((ROOT / "docker" / file).is_file() for file in files)
    builds = [service["build"] for service in compose["services"].values() if "build" in service]
    assert all((ROOT / build["dockerfile"]).is_file() for build in builds)


def test_nothing_starts_before_what_it_needs(compose):
    waits = {name: compose["services"][name].get("depends_on", {}) for name in SERVICES}
    assert set(waits["mlflow"]) == {"database", "store"}
    assert "head" in waits["worker"]
    assert all(each["condition"] == "service_healthy" for needed in waits.values() for each in needed.values())


def test_nodes_are_told_where_results_and_mlflow_are(compose):
    services = compose["services"]
    environment = services["head"]["environment"]
    assert environment == services["worker"]["environment"]
    bucket = environment["DFERC_RESULTS"].removeprefix("s3://").split("/")[0]
    assert f"/data/{bucket}" in (ROOT / "docker" / "store.Dockerfile").read_text(encoding="utf-8")
    assert f"--artifacts-destination=s3://{bucket}/mlflow" in services["mlflow"]["command"]
    host = environment["MLFLOW_TRACKING_URI"].removeprefix("http://")
    allowed = next(word for word in services["mlflow"]["command"] if word.startswith("--allowed-hosts="))
    assert host in allowed.removeprefix("--allowed-hosts=").split(",")


def test_mlflow_asks_for_passwords_and_runs_no_jobs(compose):
    mlflow = compose["services"]["mlflow"]
    assert "--app-name=basic-auth" in mlflow["command"]
    assert mlflow["environment"]["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] == "false"
    assert mlflow["environment"]["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] == "false"


def test_mlflows_users_are_configured_as_mlflow_reads_it(monkeypatch):
    # By its file: the package around it takes ten seconds to load.
    package = importlib.util.find_spec("mlflow").submodule_search_locations[0]
    spec = importlib.util.spec_from_file_location("auth_config", f"{package}/server/auth/config.py")
    read = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(read)
    monkeypatch.setenv("MLFLOW_AUTH_CONFIG_PATH", str(ROOT / "docker" / "mlflow_auth.ini"))
    given = "from the environment"
    monkeypatch.setenv("MLFLOW_AUTH_ADMIN_PASSWORD", given)
    config = read.read_auth_config()
    assert config.auth_cache_ttl_seconds == 60
    assert config.default_permission == "READ"
    assert config.admin_password == given
    assert "@database/" in config.database_uri
    assert ":" not in config.database_uri.partition("://")[2].partition("@")[0]  # no password


def test_ray_asks_for_its_token_everywhere(compose):
    for name in ("head", "worker"):
        environment = compose["services"][name]["environment"]
        assert environment["RAY_AUTH_MODE"] == "token"
        assert environment["RAY_AUTH_TOKEN_PATH"] in targets(compose["services"][name]).values()


def test_gpus_come_with_the_image_that_can_use_them():
    worker = yaml.safe_load((ROOT / "docker" / "compose.gpu.yaml").read_text(encoding="utf-8"))["services"]["worker"]
    assert worker["image"].endswith("-cuda")
    assert worker["build"]["args"] == {"TORCH_INDEX": ""}
    assert worker["deploy"]["resources"]["reservations"]["devices"][0]["capabilities"] == ["gpu"]
