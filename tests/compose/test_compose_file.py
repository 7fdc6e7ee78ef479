"""The compose file passes settings to their containers, and opens no unnecessary port or file."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from localcluster.config import REDIS_MEMORY, REDIS_MEMORY_MIB
from localcluster.dotenv import random_secrets
from localcluster.interpolation import interpolate
from protocol.settings import (
    CLIENT_VARIABLES,
    HttpSettings,
    SettingsError,
    WorkerSettings,
    check_together,
    known_variables,
    load,
    variables_of,
)

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docker-compose.yml").read_text()
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(TEXT)["services"]
SHARDS = ["s1", "s2", "s3"]
READERS = {"api": "api", "worker": "worker", **dict.fromkeys(SHARDS, "shard")}

# A container has no console, stores its data only in its volume, and leaves TLS to a proxy.
NOT_IN_CONTAINERS = {"TARANTKV_SHARD_CONSOLE", "TARANTKV_TLS_CERT", "TARANTKV_TLS_KEY"}


@pytest.mark.parametrize(("service", "reader"), READERS.items())
def test_every_setting_that_a_program_reads_can_be_given_to_its_container(service: str, reader: str) -> None:
    assert SERVICES[service]["environment"].keys() == variables_of(reader) - NOT_IN_CONTAINERS


def test_only_the_api_publishes_a_port_and_by_default_only_locally() -> None:
    assert {name for name, service in SERVICES.items() if "ports" in service} == {"api", "grafana"}
    assert SERVICES["grafana"]["ports"] == ["127.0.0.1:3000:3000"]
    assert SERVICES["api"]["ports"] == ["${TARANTKV_PUBLISH:-127.0.0.1}:${TARANTKV_PORT:-8081}:8081"]


def test_every_secret_comes_from_outside_and_a_missing_one_is_explained() -> None:
    for name in random_secrets():
        if name != "TARANTKV_ADMIN_USER":
            values = re.findall(rf"^\s*{name}: (.*)$", TEXT, re.MULTILINE)
            assert values
            for value in values:
                assert f'${{{name}:?is not set, run "make env" to write .env}}' in value or value.startswith("*")


def test_every_variable_in_the_file_is_known_to_the_programs() -> None:
    """Otherwise `make up` would refuse an `.env` that contains it."""
    filled_in = set(re.findall(r"(?<!\$)\$\{(\w+)", TEXT))
    assert filled_in <= known_variables() | CLIENT_VARIABLES


def test_redis_may_use_as_much_memory_as_with_make_up() -> None:
    assert SERVICES["redis"]["environment"]["REDIS_MAXMEMORY"] == f"${{{REDIS_MEMORY}:-{REDIS_MEMORY_MIB}}}mb"


def test_no_secret_is_an_argument() -> None:
    for service in SERVICES.values():
        for arguments in (service.get("command", []), service.get("entrypoint", [])):
            # Compose replaces a variable with a single dollar sign; a doubled one reaches the container's shell.
            assert "$" not in " ".join(arguments).replace("$$", "")


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_confined_checked_and_limited(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert "privileged" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["ulimits"] == {"core": 0}
    assert service["mem_limit"]
    assert service["healthcheck"]["test"]
    assert service["restart"] == "unless-stopped"
    # The image of api and worker sets its user itself.
    assert "build" in service or service["user"] not in ("root", "0")


def test_services_that_others_need_start_first() -> None:
    for name in ("api", "worker"):
        needed = SERVICES[name]["depends_on"]
        assert needed == {other: {"condition": "service_healthy"} for other in ("redis", *SHARDS)}


@pytest.mark.parametrize("given", [{}, {"TARANTKV_STOP_GRACE_S": "90"}])
def test_a_program_gets_the_grace_period_of_docker(given: dict[str, str]) -> None:
    for service, concern in (("api", HttpSettings), ("worker", WorkerSettings)):
        told = interpolate(SERVICES[service]["environment"]["TARANTKV_STOP_GRACE_S"], given.get)
        assert interpolate(SERVICES[service]["stop_grace_period"], given.get) == f"{told}s"
        # With it the program refuses a longer drain and accepts the default.
        check_together(load(concern, {"TARANTKV_STOP_GRACE_S": told}))
        with pytest.raises(SettingsError, match="or it is killed"):
            check_together(
                load(
                    concern,
                    {
                        "TARANTKV_STOP_GRACE_S": told,
                        "TARANTKV_DRAIN_TIMEOUT_S": told,
                        "TARANTKV_WORKER_DRAIN_TIMEOUT_S": told,
                    },
                )
            )


def test_the_number_of_workers_is_a_variable_that_the_next_up_keeps() -> None:
    assert SERVICES["worker"]["scale"] == "${TARANTKV_WORKER_PROCESSES:-1}"


def test_folders_are_mounted_in_the_form_without_syntax_in_their_paths() -> None:
    for service in SERVICES.values():
        for mount in service.get("volumes", []):
            assert isinstance(mount, dict) or not mount.startswith((".", "/", "~"))
            if isinstance(mount, dict):
                assert mount["read_only"] is True


@pytest.mark.parametrize("name", ["api", "worker"])
def test_a_health_check_does_not_import_the_program(name: str) -> None:
    """It runs every few seconds in every container; `python -m worker --check` takes half a second of CPU time."""
    test = SERVICES[name]["healthcheck"]["test"]
    assert test[:3] == ["CMD", "python", "-ISc"]
    compile(test[3], name, "exec")
    imported = {
        name for line in re.findall(r"^import (.*?)(?:;|$)", test[3], re.MULTILINE) for name in line.split(", ")
    }
    assert imported <= {"os", "socket", "time"}


def test_a_stuck_worker_fails_its_health_check(tmp_path: Path) -> None:
    heartbeat = tmp_path / "heartbeat"
    code = SERVICES["worker"]["healthcheck"]["test"][3].replace("/tmp/heartbeat", str(heartbeat))
    assert str(heartbeat) in code

    def check() -> int:
        return subprocess.run([sys.executable, "-ISc", code], stderr=subprocess.DEVNULL, check=False).returncode

    assert check() != 0
    heartbeat.touch()
    assert check() == 0
    os.utime(heartbeat, (0, 0))
    assert check() != 0


def test_workers_can_be_scaled() -> None:
    assert "container_name" not in SERVICES["worker"]
    assert "ports" not in SERVICES["worker"]


def test_each_shard_has_a_name_and_a_volume_of_its_own() -> None:
    listed = SERVICES["api"]["environment"]["TARANTKV_SHARDS"]
    assert listed == ";".join(f"{name}={name}:3301" for name in SHARDS)
    for name in SHARDS:
        assert SERVICES[name]["environment"]["TARANTKV_SHARD"] == name
        assert f"{name}:/var/lib/tarantool" in SERVICES[name]["volumes"]


def test_images_of_servers_can_be_replaced() -> None:
    assert SERVICES["redis"]["image"] == "${TARANTKV_REDIS_IMAGE:-redis:8-alpine}"
    assert {SERVICES[name]["image"] for name in SHARDS} == {"${TARANTKV_TARANTOOL_IMAGE:-tarantool/tarantool:3.8.0}"}


def test_monitoring_starts_only_on_request_and_its_images_are_pinned() -> None:
    watching = {name for name, service in SERVICES.items() if service.get("profiles") == ["observability"]}
    assert watching == {"prometheus", "grafana"}
    assert {name for name, service in SERVICES.items() if "profiles" in service} == watching
    for name in watching:
        assert re.search(r":v?\d+\.\d+\.\d+\}$", SERVICES[name]["image"])
        for mount in SERVICES[name]["volumes"]:
            assert isinstance(mount, str) or (ROOT / mount["source"]).exists()


def test_grafana_finds_prometheus_and_the_board() -> None:
    provisioning = ROOT / "deploy" / "grafana" / "provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources" / "prometheus.yml").read_text())["datasources"]
    assert source["url"] == "http://prometheus:9090"
    assert f'"uid": "{source["uid"]}"' in (ROOT / "deploy" / "grafana" / "tarant-kv.json").read_text()
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "tarant-kv.yml").read_text())["providers"]
    mounts = [mount["target"] for mount in SERVICES["grafana"]["volumes"]]
    assert f"{provider['options']['path']}/tarant-kv.json" in mounts
    scraped = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text())["scrape_configs"]
    assert scraped[0]["static_configs"] == [{"targets": ["api:8081"]}]


def test_the_images_contain_only_what_runs() -> None:
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    files = [ROOT / "Dockerfile", ROOT / "docker" / "shard.Dockerfile"]
    copied = {
        line for file in files for line in re.findall(r"^COPY (?!--from)(.+) \S+$", file.read_text(), re.MULTILINE)
    }
    assert kept == {source for line in copied for source in line.split()}


def test_the_image_runs_as_a_user_without_login_and_contains_no_secret() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    users = [line.split()[1] for line in lines if line.startswith("USER ")]
    assert users
    assert all(user.split(":")[0].isdecimal() and user.split(":")[0] != "0" for user in users)
    # ARG, ENV and commands stay in the image's history, which would also show a build argument.
    for line in lines:
        if not line.lstrip().startswith("#"):
            assert not re.search(r"SECRET|PASSWORD|TOKEN|\bADD\b|\.env\b|--mount=type=secret", line, re.IGNORECASE), (
                line
            )
    assert [line for line in lines if line.startswith("ARG ")] == ["ARG PYTHON_IMAGE=python:3.13-slim"]
    assert "args" not in str(SERVICES["api"]["build"])


@pytest.mark.parametrize("lock", sorted(ROOT.glob("requirements*.lock")), ids=lambda path: path.name)
def test_every_package_is_installed_with_a_pinned_hash(lock: Path) -> None:
    packages = re.split(r"\n(?=\S)", lock.read_text().strip())
    assert len(packages) > 2
    for package in packages:
        assert re.match(r"[a-z0-9._-]+(\[[a-z0-9,._-]+\])?==[^ \n]+ ", package), package[:80]
        assert re.search(r"--hash=sha256:[0-9a-f]{64}\b", package), package[:80]
    for source in ("Dockerfile", "scripts/install.sh"):
        text = re.sub(r"\\\n\s*", "", (ROOT / source).read_text())
        installs = [line for line in text.splitlines() if re.search(r"pip\b.*\binstall\b", line)]
        assert installs
        # The client is installed from this clone without its dependencies, and so needs no hashes.
        pinned = ("--require-hashes", "--no-index")
        assert all(any(way in line for way in pinned) and "--no-deps" in line for line in installs), source


def test_the_image_of_the_api_contains_the_complete_contract_tests(tmp_path: Path) -> None:
    """The image does not have the other tests: `docker compose exec api pytest tests/contract`."""
    copied = re.findall(r"^COPY (\S+) (\S+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    for source, target in copied:
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, tmp_path / target)
        else:
            shutil.copy2(ROOT / source, tmp_path / target)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", "tests/contract"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout
