"""The rights of the Redis users of api and workers: they have what they need, and no more."""

import hashlib
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
import redis

from localcluster import dotenv, files, programs
from localcluster.cluster import Cluster
from localcluster.config import for_machine
from localcluster.ports import free_ports
from protocol.frames import VERSION
from protocol.names import alive_key, login_counter, reply_stream, shard_stream, shard_workers
from protocol.settings import RedisSettings
from tests.contract.waiting import until
from tests.security.redis_users import TIERS, administrator, every_command, is_refused, run, settings_of

ALWAYS_ALLOWED = {("auth",), ("hello",), ("quit",), ("reset",)}
"""Redis lets every client log in and disconnect."""

OWN_KEYS = {
    "api": (
        shard_stream("s1"),
        shard_workers("s1", VERSION),
        reply_stream("p"),
        alive_key("p"),
        login_counter("user", "d"),
    ),
    "worker": (shard_stream("s1"), shard_workers("s1", VERSION), reply_stream("p")),
}
FOREIGN_KEYS = {
    "api": ("kv", "reply", "other", "xkv:s1", "session:1", ""),
    "worker": ("kv", "other", "xkv:s1", alive_key("p"), login_counter("user", "d"), ""),
}


@pytest.fixture(autouse=True)
def forget_what_was_tried(cluster: Cluster) -> Iterator[None]:
    """Resets Redis' record of refused commands, which the session checks: these tests cause refusals on purpose."""
    yield
    run(administrator(cluster), ("ACL", "LOG", "RESET"))


def rights(tier: str) -> list[str]:
    return (programs.REPOSITORY / "docker" / f"redis_{tier}.acl").read_text().split()


def granted(tier: str) -> set[tuple[str, ...]]:
    return {tuple(word[1:].split("|")) for word in rights(tier) if word.startswith("+")}


@pytest.mark.parametrize("tier", TIERS)
def test_every_other_command_is_refused(cluster: Cluster, tier: str) -> None:
    settings = settings_of(cluster, tier)
    allowed = granted(tier) | ALWAYS_ALLOWED
    # Before 7.0 the list does not distinguish a command from its subcommands.
    tried = {name: words for name, words in every_command(administrator(cluster)).items() if name not in allowed}
    tried = {name: words for name, words in tried.items() if len(name) > 1 or name not in {one[:1] for one in allowed}}
    assert len(tried) > 150
    for name, words in tried.items():
        command = (*name, *(shard_stream("s1") for _ in range(words - len(name))))
        (reply,) = run(settings, command)
        # Two commands are refused to all users, whatever their rights.
        closed = name[0] in ("module", "debug") and "command not allowed" in str(reply)
        assert closed or (is_refused(reply) and "permissions to run" in str(reply)), (command, reply)


@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize(
    "command", ["acl whoami", "client list", "config get *", "xinfo stream kv:s1", "xgroup destroy kv:s1 w"]
)
def test_subcommands_that_the_system_does_not_use_are_refused(cluster: Cluster, tier: str, command: str) -> None:
    (reply,) = run(settings_of(cluster, tier), tuple(command.split()))
    assert is_refused(reply), reply


@pytest.mark.parametrize("tier", TIERS)
def test_a_tier_may_use_its_own_keys_and_no_others(cluster: Cluster, tier: str) -> None:
    settings = settings_of(cluster, tier)
    for key in OWN_KEYS[tier]:
        (reply,) = run(settings, ("EXPIRE", f"{key}-of-nobody", 1))
        assert reply == 0
    for key in FOREIGN_KEYS[tier]:
        replies = run(settings, ("EXPIRE", key, 1), ("XADD", key, "*", "f", "x"), ("XDEL", key, "1-1"))
        assert all(map(is_refused, replies)), (key, replies)


def test_a_script_can_do_no_more_than_its_user(cluster: Cluster) -> None:
    for script in (
        "return redis.call('GET', KEYS[1])",
        "return redis.call('EXPIRE', 'login:user:d', 1)",
        "return redis.call('CONFIG', 'GET', '*')",
    ):
        (reply,) = run(settings_of(cluster, "worker"), ("EVAL", script, 1, shard_stream("s1")))
        assert isinstance(reply, redis.ResponseError), (script, reply)
    assert is_refused(run(settings_of(cluster, "api"), ("EVAL", "return 1", 0))[0])


def test_a_login_without_a_password_or_with_that_of_the_other_tier_is_refused(cluster: Cluster) -> None:
    api, worker = settings_of(cluster, "api"), settings_of(cluster, "worker")
    for user, password in (
        (api.redis_user, "wrong"),
        (api.redis_user, worker.redis_password),
        (worker.redis_user, api.redis_password),
        ("default", "x"),
        ("default", api.redis_password),
        ("nobody", api.redis_password),
    ):
        with pytest.raises(redis.ResponseError, match="WRONGPASS"):
            run(msgspec.structs.replace(api, redis_user=user, redis_password=password), ("PING",))
    with redis.Redis.from_url(cluster.redis_url, protocol=2) as stranger, pytest.raises(redis.AuthenticationError):
        stranger.ping()


def test_a_redis_of_make_up_has_two_users_and_no_administrator(tmp_path: Path) -> None:
    config = for_machine(tmp_path)
    files.write(config, programs.programs(config, config.workers))
    lines = (config.data_dir / "redis" / "redis.conf").read_text().splitlines()
    digests = [
        hashlib.sha256(config.settings[name].encode()).hexdigest()
        for name in (dotenv.REDIS_PASSWORD, dotenv.REDIS_WORKER_PASSWORD)
    ]
    redis_server = next(iter(programs.programs(config, config.workers)))
    assert redis_server.argv[-3:] == ("--user", "default", "off")
    assert [line for line in lines if line.startswith("user ")] == [
        f"user tarantkv on #{digests[0]} {' '.join(rights('api'))}",
        f"user tarantkv-worker on #{digests[1]} {' '.join(rights('worker'))}",
    ]


@contextmanager
def redis_of_the_container(directory: Path) -> Iterator[dict[str, RedisSettings]]:
    """Runs the script that starts Redis in its container; the users that it makes, by tier."""
    (port,) = free_ports(1)
    url = f"redis://127.0.0.1:{port}/0"
    users = {
        tier: RedisSettings(redis_url=url, redis_user=f"of-{tier}", redis_password=f"word {tier}") for tier in TIERS
    }
    env = {
        "PATH": os.environ["PATH"],
        "TARANTKV_REDIS_USER": users["api"].redis_user,
        "TARANTKV_REDIS_PASSWORD": users["api"].redis_password,
        "TARANTKV_REDIS_WORKER_USER": users["worker"].redis_user,
        "TARANTKV_REDIS_WORKER_PASSWORD": users["worker"].redis_password,
        "REDIS_MAXMEMORY": "64mb",
    }
    script = programs.REPOSITORY / "docker" / "redis.sh"
    with (directory / "log").open("w") as log:
        process = subprocess.Popen(
            ["/bin/sh", str(script), "--bind", "127.0.0.1", "--port", str(port)],
            env=env,
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        yield users
        for name in (f"/proc/{process.pid}/cmdline", f"/proc/{process.pid}/environ"):
            shown = Path(name).read_bytes()
            assert not [user for user in users.values() if user.redis_password.encode() in shown], name
    finally:
        process.terminate()
        process.wait(20)


def test_the_redis_of_the_container_has_the_same_users(tmp_path: Path) -> None:
    def answers() -> bool:
        try:
            return run(users["api"], ("PING",)) == [b"PONG"]
        except redis.ConnectionError:
            return False

    with redis_of_the_container(tmp_path) as users:
        until(answers, 20, (tmp_path / "log").read_text())
        assert run(users["api"], ("SET", alive_key("p"), 1, "EX", 5))[0] == b"OK"
        assert is_refused(run(users["worker"], ("SET", alive_key("p"), 1))[0])
        assert run(users["worker"], ("XGROUP", "CREATE", shard_stream("s1"), "workers", "0", "MKSTREAM"))[0] == b"OK"
        assert is_refused(run(users["api"], ("CONFIG", "GET", "maxmemory"))[0])
        with pytest.raises(redis.ResponseError, match="WRONGPASS"):
            run(msgspec.structs.replace(users["api"], redis_password="x"), ("PING",))
