"""The configuration of `make up`: defaults, `.env` and the environment."""

import os
from pathlib import Path

import pytest

from localcluster import dotenv, files, programs
from localcluster.config import ConfigError, Shard, for_machine
from protocol.settings import CLIENT_VARIABLES

READ_BY_MAKE_UP = (
    "TARANTKV_REDIS_MEMORY_MIB",
    "TARANTKV_REDIS_WORKER_PASSWORD",
    "TARANTKV_REDIS_WORKER_USER",
    "TARANTKV_WORKER_PROCESSES",
)


@pytest.fixture(autouse=True)
def no_outside_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("TARANTKV_")]:
        monkeypatch.delenv(name)


def write(root: Path, **settings: str) -> Path:
    (root / ".env").write_text("".join(f"TARANTKV_{name}={value}\n" for name, value in settings.items()))
    return root


def test_the_default_ports_are_not_those_of_system_services(tmp_path: Path) -> None:
    config = for_machine(tmp_path)
    ports = {config.api_port, config.redis_port, *(shard.port for shard in config.shards)}
    assert config.api_port == 8081
    assert ports.isdisjoint({6379, 3301})
    assert max(ports) < 32768


def test_the_file_overrides_defaults_and_the_environment_overrides_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write(tmp_path, PORT="9000", LOG_LEVEL="debug", REDIS_URL="redis://127.0.0.1:7000/0")
    monkeypatch.setenv("TARANTKV_LOG_LEVEL", "warning")
    config = for_machine(root)
    assert (config.api_port, config.redis_port) == (9000, 7000)
    assert config.settings["TARANTKV_LOG_LEVEL"] == "warning"
    assert dotenv.JWT_SECRET in config.settings


def test_a_program_is_killed_only_after_its_drain(tmp_path: Path) -> None:
    usual = for_machine(tmp_path).stop_timeout_s
    assert for_machine(write(tmp_path, DRAIN_TIMEOUT_S="60.5", DRAIN_DELAY_S="7")).stop_timeout_s > 67.5
    assert for_machine(write(tmp_path, WORKER_DRAIN_TIMEOUT_S="45")).stop_timeout_s > 45
    # A drain that its program refuses must not prevent `make down` from stopping the others.
    assert for_machine(write(tmp_path, DRAIN_TIMEOUT_S="soon", STOP_GRACE_S="1")).stop_timeout_s == usual


def test_every_redis_has_a_directory_and_a_socket_of_its_own(tmp_path: Path) -> None:
    config = for_machine(write(tmp_path, REDIS_URL="redis://127.0.0.1:7001,redis://localhost:7002/0"))
    wanted = {program.name: program for program in programs.programs(config, 1) if program.tier == "redis"}
    assert list(wanted) == ["redis", "redis-2"]
    assert len({(program.cwd, program.stdin, program.argv) for program in wanted.values()}) == 2
    for tier in ("api", "worker"):
        urls = programs.settings_for(config, tier)["TARANTKV_REDIS_URL"].split(",")
        assert [url.rpartition("/")[2] for url in urls] == ["redis.sock?db=0", "redis-2.sock?db=0"]


@pytest.mark.parametrize(
    "urls", ["redis://127.0.0.1:7001,redis://elsewhere:7002", "redis://127.0.0.1:7001,redis://localhost:7001"]
)
def test_lanes_that_cannot_run_on_this_machine_are_refused(tmp_path: Path, urls: str) -> None:
    with pytest.raises(ConfigError, match=r"^TARANTKV_REDIS_URL"):
        for_machine(write(tmp_path, REDIS_URL=urls))


def test_variables_that_are_not_settings_are_not_passed_to_programs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dotenv.ensure(tmp_path / ".env")
    plain = for_machine(tmp_path)
    for name in CLIENT_VARIABLES - set(READ_BY_MAKE_UP):
        monkeypatch.setenv(name, "something")
    assert for_machine(tmp_path) == plain


def test_a_change_of_the_memory_of_redis_is_noticed(tmp_path: Path) -> None:
    plain = for_machine(tmp_path)
    with (tmp_path / ".env").open("a") as file:
        file.write("TARANTKV_REDIS_MEMORY_MIB=768\n")
    changed = for_machine(tmp_path)
    assert (plain.redis_memory_mib, changed.redis_memory_mib) == (512, 768)
    wanted = programs.programs(plain, plain.workers)
    files.write(plain, wanted)
    assert files.differing(changed, programs.programs(changed, changed.workers)) == ["redis"]


@pytest.mark.parametrize(("processors", "shards"), [(1, 2), (2, 2), (4, 2), (6, 3), (8, 4), (16, 8), (64, 8)])
def test_there_is_a_shard_for_every_two_processors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, processors: int, shards: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(processors)))
    assert [shard.name for shard in for_machine(tmp_path).shards] == [f"s{number + 1}" for number in range(shards)]


def test_as_many_shards_are_started_as_have_data_whatever_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(10)))
    before = for_machine(tmp_path)
    programs.Layout(before.data_dir).make(before)
    (before.data_dir / "shards" / "s2-copy").mkdir()
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    assert for_machine(tmp_path).shards == before.shards
    assert len(before.shards) == 5


def test_shards_come_from_the_settings(tmp_path: Path) -> None:
    config = for_machine(write(tmp_path, SHARDS="a=127.0.0.1:7001;b=localhost:7002"))
    assert config.shards == (Shard("a", 7001), Shard("b", 7002))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SHARDS", "a=127.0.0.1:7001,127.0.0.1:7002"),
        ("SHARDS", "a=db.example:7001"),
        ("REDIS_URL", "redis://cache.example:6379/0"),
        ("REDIS_URL", "unix:///run/redis.sock"),
        ("PORT", "http"),
        ("PORT", "70000"),
        ("REDIS_MEMORY_MIB", "1gb"),
        ("REDIS_MEMORY_MIB", "1"),
    ],
)
def test_settings_that_cannot_run_on_one_machine_are_refused_by_name(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=f"TARANTKV_{name}"):
        for_machine(write(tmp_path, **{name: value}))
