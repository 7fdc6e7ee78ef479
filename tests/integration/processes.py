"""Processes of the system besides the cluster's: another api, user administration, and starts that must fail."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from localcluster import programs
from localcluster.cluster import Cluster
from localcluster.launch import RUN_MARK
from localcluster.ports import free_ports

START_TIMEOUT_S = 40.0
END_TIMEOUT_S = 40.0
INHERITED = ("COVERAGE_PROCESS_CONFIG", "HOME", "LANG", "PATH", "TMPDIR")
_POLL_S = 0.02


def environment(cluster: Cluster, settings: Mapping[str, str], tier: str = "api") -> dict[str, str]:
    """The environment of a process of a tier in this cluster, changed by `settings`; an empty one is removed."""
    every = {**programs.settings_for(cluster.config, tier), **settings}
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    # The marker ends the process with the cluster, even if the test does not.
    marker = {RUN_MARK: cluster.layout.identity()}
    return inherited | marker | {name: value for name, value in every.items() if value}


class ApiProcess:
    """Another api of a cluster, running inside a `with` block."""

    def __init__(self, cluster: Cluster, settings: Mapping[str, str], module: Sequence[str] = ("api",)) -> None:
        self._module = module
        (port,) = free_ports(1)
        self.base_url = f"http://127.0.0.1:{port}"
        self._environment = environment(cluster, {**settings, "TARANTKV_PORT": str(port)})
        self._output = tempfile.TemporaryFile("w+")  # noqa: SIM115 - lives as long as the process

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", *self._module],
            env=self._environment,
            cwd=programs.REPOSITORY,
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=self._output,
        )
        end = time.monotonic() + START_TIMEOUT_S
        while not self._is_ready():
            if self._process.poll() is not None or time.monotonic() > end:
                self._process.kill()
                raise AssertionError(f"the api did not start:\n{self.log()}")
            time.sleep(_POLL_S)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._process.terminate()
        try:
            self._process.wait(END_TIMEOUT_S)
        finally:
            self._process.kill()
            self._process.wait()
            self._output.close()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def ended(self) -> int:
        """Wait for its end; returns its exit code."""
        return self._process.wait(END_TIMEOUT_S)

    def log(self) -> str:
        """The output so far."""
        self._output.seek(0)
        return self._output.read()

    def _is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.base_url}/health/ready", trust_env=False, verify=False).status_code == 200
        except httpx.TransportError:
            return False


def run(
    arguments: Sequence[str], env: Mapping[str, str], stdin: str = "", timeout_s: float = END_TIMEOUT_S
) -> "subprocess.CompletedProcess[str]":
    """Run a process that ends by itself."""
    return subprocess.run(
        arguments,
        env=dict(env),
        cwd=programs.REPOSITORY,
        input=stdin,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=timeout_s,
        check=False,
    )


def run_module(
    cluster: Cluster, module: str, settings: Mapping[str, str], tier: str = "api"
) -> "subprocess.CompletedProcess[str]":
    """Run a start that must fail."""
    return run([sys.executable, "-m", module], environment(cluster, settings, tier))


def run_shard(cluster: Cluster, directory: Path, settings: Mapping[str, str]) -> "subprocess.CompletedProcess[str]":
    """Run a start of a shard that must fail."""
    return run(_SHARD, shard_environment(cluster, directory, settings))


def shard_environment(cluster: Cluster, directory: Path, settings: Mapping[str, str]) -> dict[str, str]:
    """The environment of a shard in `directory` with a port of its own, unless `settings` name another."""
    (port,) = free_ports(1)
    own = {
        "TARANTKV_SHARD": "s1",
        "TARANTKV_SHARD_LISTEN": f"127.0.0.1:{port}",
        "TARANTKV_SHARD_DIR": str(directory),
        "TARANTKV_SHARD_MEMORY_MIB": "64",
    }
    return environment(cluster, {**own, **settings}, "shard")


class ShardProcess:
    """A shard outside the cluster, running inside a `with` block."""

    def __init__(self, cluster: Cluster, directory: Path, settings: Mapping[str, str]) -> None:
        self._environment = shard_environment(cluster, directory, settings)
        self.address = self._environment["TARANTKV_SHARD_LISTEN"]
        self._log = directory / "test.log"

    def __enter__(self) -> Self:
        with self._log.open("w") as output:
            self._process = subprocess.Popen(
                _SHARD, env=self._environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        end = time.monotonic() + START_TIMEOUT_S
        while "owns buckets" not in self._log.read_text():
            if self._process.poll() is not None or time.monotonic() > end:
                self._process.kill()
                raise AssertionError(f"the shard did not start:\n{self._log.read_text()}")
            time.sleep(_POLL_S)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._process.terminate()
        self._process.wait(END_TIMEOUT_S)


_SHARD = ("tarantool", str(programs.REPOSITORY / "tarantool-cluster" / "init.lua"))


def manage(
    cluster: Cluster, *arguments: str, password: str | None = None, stdin: str = ""
) -> "subprocess.CompletedProcess[str]":
    """`python -m api.manage`, as `make user-add` calls it."""
    settings = {"TARANTKV_NEW_PASSWORD": password} if password is not None else {}
    return run([sys.executable, "-m", "api.manage", *arguments], environment(cluster, settings), stdin)
