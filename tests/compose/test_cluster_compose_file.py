"""`docker-compose.cluster.yml` fits the programs, the configuration of the instances, and `docker-compose.yml`."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from localcluster.dotenv import random_secrets
from protocol.settings import CLIENT_VARIABLES, known_variables, parse_shards, variables_of

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docker-compose.cluster.yml").read_text()
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(TEXT)["services"]
SINGLE: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
CONFIGURATION = ROOT / "docker" / "cluster.yaml"
INSTANCES = [f"s{shard}-{replica}" for shard in (1, 2) for replica in (1, 2, 3)]
# Here the instances' configuration has buckets and clocks, and a proxy terminates TLS.
FIXED = {"TARANTKV_BUCKET_COUNT", "TARANTKV_CLOCK_SKEW_S", "TARANTKV_TLS_CERT", "TARANTKV_TLS_KEY"}


@pytest.mark.parametrize(("service", "reader"), [("api-1", "api"), ("api-2", "api"), ("worker", "worker")])
def test_every_setting_that_a_program_reads_can_be_given_to_its_container(service: str, reader: str) -> None:
    assert SERVICES[service]["environment"].keys() == variables_of(reader) - FIXED


def test_the_configuration_of_the_instances_is_that_of_clusterctl() -> None:
    shards = SERVICES["worker"]["environment"]["TARANTKV_SHARDS"]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TARANTKV_")}
    done = subprocess.run(
        [sys.executable, "-m", "clusterctl.print_config"],
        cwd=ROOT,
        env={**clean, "TARANTKV_SHARDS": shards},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    comment, _, written = CONFIGURATION.read_text().partition("\n")
    assert comment.startswith("# ")
    assert written == done.stdout


def test_all_programs_log_in_as_the_user_of_the_instances() -> None:
    """They do not use the user that `.env` names for `make up`: the configuration of the instances does not have it."""
    made = yaml.safe_load(CONFIGURATION.read_text())["roles_cfg"]["tarantkv"]["store_user"]
    for service in ("worker", *INSTANCES):
        assert SERVICES[service]["environment"]["TARANTKV_STORE_USER"] == made


def test_every_instance_has_a_container_with_the_name_in_its_address() -> None:
    replica_sets = yaml.safe_load(CONFIGURATION.read_text())["groups"]["shards"]["replicasets"]
    named = {name: each for shard in replica_sets.values() for name, each in shard["instances"].items()}
    assert list(named) == INSTANCES
    for name, instance in named.items():
        assert instance["iproto"]["advertise"]["client"] == f"{name}:3301"
        assert SERVICES[name]["command"] == ["--name", name, "--config", "/etc/tarantkv/config.yaml"]
        assert name.startswith(SERVICES[name]["environment"]["TARANTKV_SHARD"])
        assert f"{name}:/var/lib/tarantool" in SERVICES[name]["volumes"]
    told = parse_shards(SERVICES["api-1"]["environment"]["TARANTKV_SHARDS"])
    assert [host for shard in told.values() for host, _ in shard] == INSTANCES


def test_only_the_proxy_publishes_a_port_and_by_default_only_locally() -> None:
    assert {name for name, service in SERVICES.items() if "ports" in service} == {"nginx"}
    assert SERVICES["nginx"]["ports"] == ["${TARANTKV_PUBLISH:-127.0.0.1}:${TARANTKV_PORT:-8081}:8081"]


def test_the_proxy_uses_every_api_process() -> None:
    proxied = re.findall(r"server (\S+):8081", (ROOT / "docker" / "nginx.conf").read_text())
    assert proxied == [name for name in SERVICES if name.startswith("api")]


def test_every_secret_comes_from_outside_and_a_missing_one_is_explained() -> None:
    for name in random_secrets():
        if name != "TARANTKV_ADMIN_USER":
            values = re.findall(rf"^\s*{name}: (.*)$", TEXT, re.MULTILINE)
            assert values
            for value in values:
                assert f'${{{name}:?is not set, run "make env" to write .env}}' in value or value.startswith("*")


def test_every_variable_in_the_file_is_known_to_the_programs() -> None:
    assert set(re.findall(r"(?<!\$)\$\{(\w+)", TEXT)) <= known_variables() | CLIENT_VARIABLES


def test_containers_are_confined_like_those_of_a_single_machine() -> None:
    for name, service in SERVICES.items():
        for what in ("read_only", "cap_drop", "security_opt", "ulimits", "logging", "restart"):
            assert service[what] == SINGLE["api"][what], (name, what)
        assert service["mem_limit"]
        assert service["healthcheck"]["test"]


def test_containers_are_killed_later_than_their_programs_need_to_end() -> None:
    for name in ("api-1", "worker"):
        single = SINGLE[name.removesuffix("-1")]
        assert SERVICES[name]["stop_grace_period"] == single["stop_grace_period"]
        told = "TARANTKV_STOP_GRACE_S"
        assert SERVICES[name]["environment"][told] == single["environment"][told]
