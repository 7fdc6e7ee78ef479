"""The Helm chart: its output is valid and agrees with the rest of the project."""

import json
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from clusterctl.config_yaml import document
from clusterctl.plan import Instance, ShardPlan, first_buckets
from protocol.settings import parse_shards, variables_of
from protocol.version import VERSION

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "deploy" / "helm" / "tarant-kv"
HELM = shutil.which("helm", path=f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin")
KUBERNETES = ("1.27", "1.34")
EVERYTHING = (
    "api.autoscaling.enabled=true",
    "worker.autoscaling.enabled=true",
    "ingress.enabled=true",
    "ingress.hosts={kv.example.org}",
    "serviceMonitor.enabled=true",
    "api.settings.TARANTKV_ACCESS_LOG=all",
    "worker.settings.TARANTKV_READ_FRAMES=16",
    "networkPolicy.apiFrom[0].namespaceSelector.matchLabels.name=ingress",
)

needs_helm = pytest.mark.skipif(HELM is None, reason="there is no helm here")

Resource = dict[str, Any]


def helm(*arguments: str) -> subprocess.CompletedProcess[str]:
    assert HELM
    return subprocess.run([HELM, *arguments], capture_output=True, text=True, timeout=60, check=False)


@cache
def rendered(*settings: str) -> tuple[Resource, ...]:
    arguments = [part for setting in settings for part in ("--set", setting)]
    done = helm("template", "kv", str(CHART), "--namespace", "shop", *arguments)
    assert done.returncode == 0, done.stderr
    return tuple(filter(None, yaml.safe_load_all(done.stdout)))


def of_kind(kind: str, *settings: str) -> dict[str, Resource]:
    return {each["metadata"]["name"]: each for each in rendered(*settings) if each["kind"] == kind}


def workloads(*settings: str) -> dict[str, Resource]:
    return of_kind("Deployment", *settings) | of_kind("StatefulSet", *settings)


def environment(workload: Resource) -> dict[str, Any]:
    (container,) = workload["spec"]["template"]["spec"]["containers"]
    return {each["name"]: each.get("value") for each in container["env"]}


def refusal(*settings: str) -> str:
    done = helm("template", "kv", str(CHART), *(part for setting in settings for part in ("--set", setting)))
    assert done.returncode != 0
    return done.stderr


@needs_helm
def test_helm_finds_no_fault_in_the_chart() -> None:
    done = helm("lint", "--strict", str(CHART))
    assert done.returncode == 0, done.stdout


@needs_helm
@pytest.mark.parametrize(("version", "settings"), [(KUBERNETES[0], ()), (KUBERNETES[1], EVERYTHING)])
def test_every_resource_is_valid_for_kubernetes(version: str, settings: tuple[str, ...]) -> None:
    for resource in rendered(*settings):
        if resource["kind"] != "ServiceMonitor":
            kubernetes_validate.validate(resource, version, strict=True)


@needs_helm
def test_the_check_against_kubernetes_finds_a_misspelt_field() -> None:
    resource = json.loads(json.dumps(workloads()["kv-tarant-kv-api"]))
    resource["spec"]["template"]["spec"]["containers"][0]["readinesProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(resource, KUBERNETES[0], strict=True)


def test_the_values_fit_their_schema() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    jsonschema.Draft7Validator.check_schema(schema)
    jsonschema.validate(yaml.safe_load((CHART / "values.yaml").read_text()), schema)


@needs_helm
@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("shards.replicas=2", "shards.replicas"),
        ("shards.numbers={1,1}", "shards.numbers"),
        ("shards.first=3", "shards.numbers lacks 3"),
        ("worker.settings.READ_FRAMES=16", "worker.settings"),
        ("api.replica=3", "replica"),
        ("redis.urls={localhost:6379}", "redis.urls"),
    ],
)
def test_a_value_that_cannot_work_is_refused_by_name(setting: str, said: str) -> None:
    assert said in refusal(setting)


@needs_helm
def test_the_shards_are_configured_as_on_one_machine() -> None:
    """Only the address differs: they listen on every address of the pod."""
    numbers, replicas = (1, 2, 4), 3
    made = of_kind("ConfigMap", "shards.numbers={1,2,4}", "shards.walMode=fsync")["kv-tarant-kv-cluster"]
    config = yaml.safe_load(made["data"]["config.yaml"])

    shards = [
        ShardPlan(
            f"s{number}",
            tuple(
                Instance(
                    f"s{number}-{ordinal}",
                    f"kv-tarant-kv-s{number}-{ordinal}.kv-tarant-kv-s{number}.shop.svc:3301",
                    8 * (number - 1) + ordinal + 1,
                    listen="0.0.0.0:3301",
                )
                for ordinal in range(replicas)
            ),
            first_buckets(number, 2, 30000) if number <= 2 else None,
        )
        for number in numbers
    ]
    assert config == document(
        shards, {"TARANTKV_WAL_MODE": "fsync"}, seed="shop/kv", console="/run/tarantkv/console.sock"
    )


@needs_helm
def test_api_and_workers_get_the_addresses_of_all_instances() -> None:
    told = of_kind("ConfigMap")["kv-tarant-kv-settings"]["data"]
    shards = parse_shards(told["TARANTKV_SHARDS"])
    assert list(shards) == ["s1", "s2"]
    assert [address for address, _ in shards["s2"]] == [
        f"kv-tarant-kv-s2-{ordinal}.kv-tarant-kv-s2.shop.svc" for ordinal in range(3)
    ]
    assert told["TARANTKV_REDIS_URL"].split(",") == [
        f"redis://kv-tarant-kv-redis-{lane}.kv-tarant-kv-redis.shop.svc:6379/0" for lane in range(2)
    ]


@needs_helm
@pytest.mark.parametrize("tier", ["api", "worker"])
def test_every_variable_of_a_program_is_one_of_its_settings(tier: str) -> None:
    given = environment(workloads(*EVERYTHING)[f"kv-tarant-kv-{tier}"])
    shared = of_kind("ConfigMap")["kv-tarant-kv-settings"]["data"]
    assert given.keys() | shared.keys() <= variables_of(tier)
    assert not given.keys() & shared.keys()


@needs_helm
def test_variables_of_services_are_not_mistaken_for_settings() -> None:
    """Kubernetes makes TARANTKV_TARANT_KV_SERVICE_HOST for a release named tarantkv, and api and workers would end."""
    for workload in workloads(*EVERYTHING).values():
        assert workload["spec"]["template"]["spec"]["enableServiceLinks"] is False


@needs_helm
def test_no_secret_value_is_outside_the_secret_resource() -> None:
    (secret,) = of_kind("Secret").values()
    values = set(secret["data"].values())
    assert len(values) == len(secret["data"])
    others = json.dumps([each for each in rendered() if each["kind"] != "Secret"])
    assert not [value for value in values if value in others]
    named = set(re.findall(r'"secretKeyRef": {"name": "kv-tarant-kv", "key": "([^"]+)"', others))
    assert named == secret["data"].keys()
    assert not of_kind("Secret", "existingSecret=mine")


@needs_helm
def test_no_container_runs_as_root_or_can_become_it_or_writes_to_its_image() -> None:
    for workload in workloads(*EVERYTHING).values():
        pod = workload["spec"]["template"]["spec"]
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] > 0
        (container,) = pod["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["limits"]["memory"]
        assert "livenessProbe" in container


@needs_helm
def test_instances_of_a_shard_are_on_different_nodes_and_evicted_one_at_a_time() -> None:
    budgets = of_kind("PodDisruptionBudget")
    for shard in ("s1", "s2"):
        workload = workloads()[f"kv-tarant-kv-{shard}"]
        labels = workload["spec"]["template"]["metadata"]["labels"]
        (rule,) = workload["spec"]["template"]["spec"]["affinity"]["podAntiAffinity"][
            "requiredDuringSchedulingIgnoredDuringExecution"
        ]
        assert rule["topologyKey"] == "kubernetes.io/hostname"
        assert rule["labelSelector"]["matchLabels"].items() <= labels.items()
        assert rule["labelSelector"]["matchLabels"]["tarantkv/shard"] == shard
        budget = budgets[f"kv-tarant-kv-{shard}"]["spec"]
        assert budget["maxUnavailable"] == 1
        assert budget["selector"]["matchLabels"].items() <= labels.items()


@needs_helm
def test_every_selector_matches_its_pods() -> None:
    pods = {
        name: workload["spec"]["template"]["metadata"]["labels"].items()
        for name, workload in workloads(*EVERYTHING).items()
    }
    for workload in workloads(*EVERYTHING).values():
        selected = workload["spec"]["selector"]["matchLabels"].items()
        assert [name for name, labels in pods.items() if selected <= labels] == [workload["metadata"]["name"]]
    for service in of_kind("Service").values():
        selected = service["spec"]["selector"].items()
        assert len([name for name, labels in pods.items() if selected <= labels]) == 1
    policies = of_kind("NetworkPolicy")
    covered = [policy["spec"]["podSelector"]["matchLabels"].items() for policy in policies.values()]
    assert all(any(selected <= labels for selected in covered) for labels in pods.values())


@needs_helm
def test_only_workers_the_api_and_other_instances_can_reach_a_shard() -> None:
    (rule,) = of_kind("NetworkPolicy")["kv-tarant-kv-shard"]["spec"]["ingress"]
    callers = {each["podSelector"]["matchLabels"]["app.kubernetes.io/component"] for each in rule["from"]}
    assert callers == {"api", "worker", "shard"}


@needs_helm
def test_a_pod_is_killed_later_than_its_program_needs_to_end() -> None:
    def grace(name: str, *settings: str) -> int:
        found: int = workloads(*settings)[name]["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
        return found

    assert grace("kv-tarant-kv-api", "api.drainDelaySeconds=7") > 7 + 10
    drain = ("api.drainDelaySeconds=7", "api.settings.TARANTKV_DRAIN_TIMEOUT_S=60.5")
    assert grace("kv-tarant-kv-api", *drain) > 7 + 60.5
    assert grace("kv-tarant-kv-api", *drain, "api.settings.TARANTKV_DRAIN_DELAY_S=30") > 30 + 60.5
    assert grace("kv-tarant-kv-worker") > 10
    assert grace("kv-tarant-kv-worker", "worker.settings.TARANTKV_WORKER_DRAIN_TIMEOUT_S=45") > 45


@needs_helm
def test_with_an_external_redis_the_chart_has_no_lane() -> None:
    urls = ["redis://r1:6379/0", "rediss://r2:6379/0"]
    settings = (f"redis.urls={{{','.join(urls)}}}",)
    assert "kv-tarant-kv-redis" not in {each["metadata"]["name"] for each in rendered(*settings)}
    told = of_kind("ConfigMap", *settings)["kv-tarant-kv-settings"]["data"]["TARANTKV_REDIS_URL"]
    assert told.split(",") == urls


def test_the_chart_has_the_version_of_the_project() -> None:
    assert yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"] == VERSION


def test_redis_is_started_as_by_compose() -> None:
    for name in ("redis.sh", "redis_api.acl", "redis_worker.acl"):
        assert (CHART / "files" / name).resolve() == ROOT / "docker" / name
