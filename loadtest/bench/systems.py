"""The systems to measure: how each starts, the processes of its tiers, and the driver that puts load on it."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loadtest.bench.floor import FloorDriver
from loadtest.bench.load import Driver
from loadtest.bench.processes import Process, StartError, listens, python, running
from loadtest.bench.wrk import HttpDriver, login
from localcluster.config import usual_shard_count
from localcluster.ports import free_ports

TIERS = ("api", "worker", "redis", "tarantool")
"""In the order in which a request passes through them."""

PEER_WORKERS = 2
SHARD_MEMORY_MIB = 512
"""Memory of one shard of tarant-kv by default. A peer with one Tarantool gets the sum of all shards."""

_HOST = Path(__file__).with_name("cluster_host.py")
_STORAGE = Path(__file__).resolve().parent.parent / "peers" / "storage.lua"


@dataclass(frozen=True)
class System:
    """A running system."""

    name: str
    roots: Mapping[str, tuple[int, ...]]
    driver: Driver


@dataclass(frozen=True)
class Kv:
    """A running tarant-kv: the system itself, and what the floor and the peers need to know about it."""

    system: System
    http_processes: int
    shards: int
    workers: int
    settings: dict[str, str]


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0))


def default_http_processes() -> int:
    """The number of the peers' HTTP processes if no tarant-kv runs beside them to give it."""
    return max(1, cores() // 2)


def default_shards() -> int:
    """The number of the peers' shards in that case."""
    return usual_shard_count(cores())


@contextmanager
def tarant_kv(name: str, tree: Path, directory: Path, replicas: int = 0) -> Iterator[Kv]:
    """tarant-kv from a source tree, as `make up` starts it there; with replica sets of this many instances, if any."""
    settings = {key: value for key, value in os.environ.items() if key.startswith("TARANTKV_")}
    with running(
        "cluster", python(str(_HOST), str(tree), str(directory), str(replicas)), directory, settings, tree
    ) as host:
        description = _description(host)
        programs: dict[str, int] = description["programs"]
        roots = {
            "api": _named(programs, "api"),
            "worker": _named(programs, "worker-"),
            "redis": _named(programs, "redis"),
            "tarantool": _named(programs, "shard-"),
        }
        base_url = description["base_url"]
        token = login(base_url, description["user"], description["password"])
        yield Kv(
            system=System(name, roots, HttpDriver(base_url, token)),
            http_processes=description["http_processes"],
            shards=len(roots["tarantool"]),
            workers=len(roots["worker"]),
            settings=description["settings"],
        )
        # The end of its input stops it. `running` terminates it if that does not work.
        if host.popen.stdin is not None:
            host.popen.stdin.close()
            host.popen.stdin = None
            host.popen.wait(timeout=60)


@contextmanager
def floor(kv: Kv) -> Iterator[System]:
    """Only the stored procedures of a running tarant-kv."""
    with closing(FloorDriver(kv.settings)) as driver:
        yield System("floor", {"tarantool": kv.system.roots["tarantool"]}, driver)


@contextmanager
def fastapi(directory: Path, http_processes: int, shards: int) -> Iterator[System]:
    """FastAPI with one Tarantool, which may use as much memory as `shards` shards together."""
    with ExitStack() as stack:
        env = _peer_env()
        tarantool, address = _storage(stack, directory, env["PEER_PASSWORD"], "storage", SHARD_MEMORY_MIB * shards)
        env["PEER_SHARDS"] = address
        api, base_url = _http(stack, directory, env, "loadtest.peers.fastapi_direct:app", http_processes)
        roots = {"api": (api.pid,), "tarantool": (tarantool.pid,)}
        yield System(
            "fastapi", roots, HttpDriver(base_url, login(base_url, env["PEER_USER"], env["PEER_USER_PASSWORD"]))
        )


@contextmanager
def taskiq(directory: Path, http_processes: int, shards: int, workers: int) -> Iterator[System]:
    """FastAPI, taskiq on Redis, and as many Tarantools and workers as tarant-kv has."""
    with ExitStack() as stack:
        env = _peer_env()
        redis = _redis(stack, directory, env)
        stores = [
            _storage(stack, directory / f"s{number}", env["PEER_PASSWORD"], f"storage-{number}", SHARD_MEMORY_MIB)
            for number in range(1, shards + 1)
        ]
        env["PEER_SHARDS"] = ",".join(address for _, address in stores)
        arguments = ("loadtest.peers.taskiq_queue:broker", "--workers", str(workers), "--log-level", "WARNING")
        worker = stack.enter_context(
            running("worker", python("-m", "taskiq", "worker", *arguments, "--no-parse"), directory, env)
        )
        api, base_url = _http(stack, directory, env, "loadtest.peers.taskiq_queue:app", http_processes)
        roots = {
            "api": (api.pid,),
            "worker": (worker.pid,),
            "redis": (redis.pid,),
            "tarantool": tuple(process.pid for process, _ in stores),
        }
        yield System(
            "taskiq", roots, HttpDriver(base_url, login(base_url, env["PEER_USER"], env["PEER_USER_PASSWORD"]))
        )


def _description(host: Process) -> dict[str, Any]:
    line = host.popen.stdout.readline() if host.popen.stdout is not None else ""
    if not line:
        raise StartError(f"the cluster did not start:\n{host.tail()}")
    found: dict[str, Any] = json.loads(line)
    return found


def _named(programs: dict[str, int], prefix: str) -> tuple[int, ...]:
    return tuple(pid for name, pid in programs.items() if name.startswith(prefix))


def _peer_env() -> dict[str, str]:
    return {
        "PEER_PASSWORD": secrets.token_urlsafe(24),
        "PEER_JWT_SECRET": secrets.token_urlsafe(48),
        "PEER_USER": "admin",
        "PEER_USER_PASSWORD": secrets.token_urlsafe(18),
    }


def _storage(stack: ExitStack, directory: Path, password: str, name: str, memory_mib: int) -> tuple[Process, str]:
    (port,) = free_ports(1)
    address = f"127.0.0.1:{port}"
    env = {
        "PEER_LISTEN": address,
        "PEER_DIR": str(directory),
        "PEER_MEMORY_MIB": str(memory_mib),
        "PEER_PASSWORD": password,
    }
    process = stack.enter_context(running(name, [_program("tarantool"), str(_STORAGE)], directory, env))
    process.wait_for(lambda: listens(port))
    return process, address


def _redis(stack: ExitStack, directory: Path, env: dict[str, str]) -> Process:
    (port,) = free_ports(1)
    password = secrets.token_urlsafe(24)
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    configuration = directory / "redis.conf"
    configuration.touch(mode=0o600)
    configuration.write_text(
        f'bind 127.0.0.1\nport {port}\ndir "{directory}"\nsave ""\nappendonly no\nrequirepass {password}\n'
    )
    process = stack.enter_context(running("redis", [_program("redis-server"), str(configuration)], directory, {}))
    process.wait_for(lambda: listens(port))
    env["PEER_REDIS_URL"] = f"redis://:{password}@127.0.0.1:{port}/0"
    return process


def _http(stack: ExitStack, directory: Path, env: dict[str, str], app: str, processes: int) -> tuple[Process, str]:
    (port,) = free_ports(1)
    options: Sequence[str] = (
        *("--host", "127.0.0.1", "--port", str(port), "--workers", str(processes)),
        *("--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning"),
    )
    api = stack.enter_context(running("api", python("-m", "uvicorn", app, *options), directory, env))
    api.wait_for(lambda: listens(port))
    return api, f"http://127.0.0.1:{port}"


def _program(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise StartError(f"{name} is not installed; make bench installs it")
    return path
