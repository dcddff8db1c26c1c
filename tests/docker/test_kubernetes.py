"""The Kubernetes manifests: pods by Kubernetes' own schema, and what makes them safe and able to lose nodes."""

import copy
import re
import tomllib
from pathlib import Path

import kubernetes_validate
import pytest

ROOT = Path(__file__).parents[2]
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
KUBERNETES = "1.33"
"""The oldest that is supported by its makers now."""


def clusters(objects):
    """The specification of the cluster in each RayCluster and RayJob."""
    found = {made["kind"]: made["spec"] for made in objects if made["kind"] == "RayCluster"}
    found |= {made["kind"]: made["spec"]["rayClusterSpec"] for made in objects if made["kind"] == "RayJob"}
    assert len(found) == 2
    return found


def pods(objects):
    """Every pod template by a readable name."""
    found = {}
    for kind, spec in clusters(objects).items():
        found[f"{kind} head"] = spec["headGroupSpec"]["template"]
        found |= {f"{kind} {group['groupName']}": group["template"] for group in spec["workerGroupSpecs"]}
    job = next(made for made in objects if made["kind"] == "RayJob")
    return found | {"submitter": job["spec"]["submitterPodTemplate"]}


def nodes_of_ray(objects):
    return {name: pod for name, pod in pods(objects).items() if name != "submitter"}


def of_kind(objects, kind):
    return next(made for made in objects if made["kind"] == kind)


def strictly(made):
    kubernetes_validate.validate(made, KUBERNETES, strict=True)


def test_common_objects_follow_the_schema_of_kubernetes(kubernetes):
    common = [made for made in kubernetes if not made["apiVersion"].startswith("ray.io/")]
    assert {made["kind"] for made in common} == {"Namespace", "ConfigMap", "NetworkPolicy"}
    for made in common:
        strictly(made)


def test_pods_follow_the_schema_of_kubernetes(kubernetes):
    for pod in pods(kubernetes).values():
        strictly(
            {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod", **pod["metadata"]}, "spec": pod["spec"]}
        )


def test_the_schema_would_notice_a_wrong_field(kubernetes):
    spec = copy.deepcopy(pods(kubernetes)["submitter"]["spec"])
    spec["containers"][0]["securityContext"]["readonlyRootFilesystem"] = True
    with pytest.raises(kubernetes_validate.ValidationError):
        strictly({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"}, "spec": spec})


def test_pods_are_admitted_where_only_restricted_ones_are(kubernetes):
    assert of_kind(kubernetes, "Namespace")["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    for pod in pods(kubernetes).values():
        security = pod["spec"]["securityContext"]
        assert (security["runAsNonRoot"], security["runAsUser"]) == (True, 10001)
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod["spec"]["containers"]:
            allowed = container["securityContext"]
            assert allowed["allowPrivilegeEscalation"] is False
            assert allowed["readOnlyRootFilesystem"] is True
            assert allowed["capabilities"] == {"drop": ["ALL"]}
        assert {kind for volume in pod["spec"]["volumes"] for kind in volume if kind != "name"} <= {
            "emptyDir",
            "secret",
        }


def test_the_autoscaler_beside_the_head_is_restricted_too(kubernetes):
    for spec in clusters(kubernetes).values():
        security = spec["autoscalerOptions"]["securityContext"]
        assert security["runAsNonRoot"] is True
        assert security["allowPrivilegeEscalation"] is False
        assert security["capabilities"] == {"drop": ["ALL"]}


def test_pods_get_the_memory_that_they_ask_for(kubernetes):
    for pod in pods(kubernetes).values():
        for container in pod["spec"]["containers"]:
            assert container["resources"]["requests"] == container["resources"]["limits"]


def test_volumes_that_are_mounted_exist(kubernetes):
    for pod in pods(kubernetes).values():
        made = {volume["name"] for volume in pod["spec"]["volumes"]}
        assert {mount["name"] for container in pod["spec"]["containers"] for mount in container["volumeMounts"]} == made


def test_images_and_ray_are_the_locked_ones(kubernetes, locked, every_part):
    images = [part["image"] for part in every_part(kubernetes) if isinstance(part, dict) and "image" in part]
    assert set(images) == {f"dferc:{VERSION}", f"dferc:{VERSION}-cuda"}
    assert {spec["rayVersion"] for spec in clusters(kubernetes).values()} == {locked["ray"]}


def test_a_pod_with_a_gpu_has_the_image_that_can_use_it(kubernetes):
    for pod in nodes_of_ray(kubernetes).values():
        (container,) = pod["spec"]["containers"]
        assert ("nvidia.com/gpu" in container["resources"]["limits"]) == container["image"].endswith("-cuda")


def test_clusters_ask_for_a_token_that_is_in_no_manifest(kubernetes, every_part):
    for spec in clusters(kubernetes).values():
        assert spec["authOptions"] == {"mode": "token", "secretName": "dferc-token"}
    assert "Secret" not in {made["kind"] for made in kubernetes}
    secret = re.compile("PASSWORD|TOKEN|ACCESS_KEY")
    assert not [part for part in every_part(kubernetes) if isinstance(part, dict) and any(map(secret.search, part))]


def test_secrets_that_pods_mount_are_those_that_the_readme_makes(kubernetes, every_part):
    mounted = {part["secretName"] for part in every_part(kubernetes) if isinstance(part, dict) and "secretName" in part}
    readme = (ROOT / "docker" / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"create secret generic (\S+)", readme)) == mounted


def test_clusters_grow_and_shrink(kubernetes):
    for spec in clusters(kubernetes).values():
        assert spec["enableInTreeAutoscaling"] is True
        assert spec["autoscalerOptions"]["version"] == "v2"
        assert spec["autoscalerOptions"]["idleTimeoutSeconds"] > 0
        for group in spec["workerGroupSpecs"]:
            assert 0 == group["minReplicas"] < group["maxReplicas"]


def test_trials_never_run_beside_the_head(kubernetes):
    for spec in clusters(kubernetes).values():
        assert spec["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"


def test_gpu_workers_are_on_nodes_that_may_go(kubernetes):
    for spec in clusters(kubernetes).values():
        (gpu,) = [group for group in spec["workerGroupSpecs"] if group["groupName"] == "gpu-spot"]
        pod = gpu["template"]["spec"]
        wanted = pod["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
        assert all("spot" in str(term).lower() for term in wanted)
        assert {"nvidia.com/gpu", "cloud.google.com/gke-spot"} <= {each["key"] for each in pod["tolerations"]}


def test_probes_ask_what_every_node_of_ray_answers(kubernetes):
    from ray.dashboard.http_server_agent import PUBLIC_EXACT_PATHS

    for pod in nodes_of_ray(kubernetes).values():
        (container,) = pod["spec"]["containers"]
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            assert container[probe]["httpGet"]["path"] in PUBLIC_EXACT_PATHS


def test_rays_ports_are_open_to_its_pods_to_submitters_and_to_the_operator_alone(kubernetes):
    policy = of_kind(kubernetes, "NetworkPolicy")["spec"]
    own = policy["podSelector"]["matchLabels"]
    assert policy["policyTypes"] == ["Ingress"]
    for pod in nodes_of_ray(kubernetes).values():
        assert own.items() <= pod["metadata"]["labels"].items()
    among, submission = policy["ingress"]
    assert among == {"from": [{"podSelector": {"matchLabels": own}}]}
    assert submission["ports"] == [{"port": 8265, "protocol": "TCP"}]
    submitters, operator = submission["from"]
    assert (
        submitters["podSelector"]["matchLabels"].items() <= pods(kubernetes)["submitter"]["metadata"]["labels"].items()
    )
    assert operator["podSelector"]["matchLabels"] == {"app.kubernetes.io/name": "kuberay-operator"}


def test_settings_of_pods_are_those_of_the_config_map(kubernetes):
    settings = of_kind(kubernetes, "ConfigMap")
    assert settings["data"]["RAY_JOB_STOP_SIGNAL"] == "SIGINT"
    for pod in nodes_of_ray(kubernetes).values():
        (container,) = pod["spec"]["containers"]
        assert container["envFrom"] == [{"configMapRef": {"name": settings["metadata"]["name"]}}]


def test_a_job_is_retried_on_a_new_cluster_and_leaves_none_behind(kubernetes):
    job = of_kind(kubernetes, "RayJob")["spec"]
    assert job["backoffLimit"] > 0
    assert job["shutdownAfterJobFinishes"] is True
    assert job["ttlSecondsAfterFinished"] > 0


def test_the_job_has_the_same_cluster_as_the_one_that_stays(kubernetes):
    both = clusters(kubernetes)
    assert both["RayCluster"] == both["RayJob"]
