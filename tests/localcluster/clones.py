"""Clones of the repository in separate folders with separate ports, used through `make` as a user would."""

import contextlib
import os
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from localcluster import leftovers
from localcluster.dotenv import REPOSITORY
from localcluster.layout import Layout
from localcluster.ports import free_ports

PARTS = ("api", "docker", "localcluster", "protocol", "scripts", "tarantool-cluster", "worker")
FILES = ("Makefile", "pyproject.toml", "requirements-dev.lock")
KEPT = ("HOME", "PATH", "TMPDIR", "LANG")
TIMEOUT_S = 120
END_S = 20


@dataclass(frozen=True)
class Clone:
    """One clone, running or not."""

    root: Path

    @property
    def layout(self) -> Layout:
        return Layout(self.root / ".data")

    def run(
        self, *command: str | Path, env: Mapping[str, str] | None = None, stdin: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the clone, in an environment with little but what is given."""
        return subprocess.run(
            command,
            cwd=self.root,
            env={name: os.environ[name] for name in KEPT if name in os.environ} | dict(env or {}),
            input=stdin if stdin is not None else "",
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )

    def make(self, *arguments: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run `make`; its output is printed if a test fails."""
        done = self.run("make", *arguments, env=env)
        print("make", *arguments, "->", done.returncode, done.stdout[-2000:], done.stderr[-2000:])  # noqa: T201  pytest shows it
        return done

    def settings(self, **values: str) -> None:
        """Write `.env`: free ports, small shards, and these `TARANTKV_` settings unchanged."""
        redis, api, *shards = free_ports(4)
        usual = {
            "PORT": str(api),
            "REDIS_URL": f"redis://127.0.0.1:{redis}/0",
            "SHARDS": ";".join(f"s{number}=127.0.0.1:{port}" for number, port in enumerate(shards, 1)),
            "API_PROCESSES": "1",
            "SHARD_MEMORY_MIB": "64",
        }
        lines = [f"TARANTKV_{name}={value}\n" for name, value in (usual | values).items()]
        (self.root / ".env").write_text("".join(lines), encoding="utf-8")

    def processes(self) -> dict[int, str]:
        """All programs that run for this clone, by process id."""
        return {process.pid: process.name() for process in leftovers.find(self.layout)}

    def copy(self, *options: str, to: Path) -> "Clone":
        """Copy it as `cp` does."""
        subprocess.run(["cp", *options, self.root, to], check=True)
        return Clone(to)

    def end(self) -> None:
        """Kill all programs that still run. A clean stop would take seconds, and no test needs it."""
        give_up = time.monotonic() + END_S
        while left := leftovers.find(self.layout):
            if time.monotonic() > give_up:
                raise TimeoutError(f"these do not end: {left}")
            for process in left:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            psutil.wait_procs(left, timeout=1)


def make_clone(root: Path) -> Clone:
    """A clone at `root` whose `.venv` has the packages of the environment that runs the tests."""
    root.mkdir(parents=True)
    for part in PARTS:
        # With Python's compiled files: otherwise each clone would need seconds to compile them.
        shutil.copytree(REPOSITORY / part, root / part)
    for name in FILES:
        shutil.copy(REPOSITORY / name, root / name)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    binaries, packages = root / ".venv" / "bin", root / ".venv" / "lib" / version / "site-packages"
    binaries.mkdir(parents=True)
    packages.mkdir(parents=True)
    interpreter = Path(sys.base_prefix) / "bin" / version
    (binaries / "python").symlink_to(interpreter)
    (root / ".venv" / "pyvenv.cfg").write_text(f"home = {interpreter.parent}\n")
    (packages / "installed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    # In the state after an installation, so that the installer has nothing to do.
    shutil.copy(root / "requirements-dev.lock", root / ".venv" / "installed-dev.lock")
    clone = Clone(root)
    clone.settings()
    return clone


def lives(pid: int) -> bool:
    """Whether a process exists and is not a zombie."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
