"""The client is a package of its own: its wheel works when only its declared dependencies are installed."""

import re
import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from tarantkv import __version__

from localcluster.dotenv import REPOSITORY
from tests.contract.conftest import Service

PIP = [sys.executable, "-I", "-m", "pip", "--disable-pip-version-check", "--no-input"]
SERVERS = {"litestar", "uvicorn", "redis", "tarantool", "msgspec", "orjson", "api", "worker", "protocol"}


def run(*command: str | Path, **environment: str) -> str:
    done = subprocess.run(
        command, env={"PATH": "/usr/bin:/bin", **environment}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("wheel")
    # Building leaves files beside the sources.
    shutil.copytree(REPOSITORY / "client", directory / "client", ignore=shutil.ignore_patterns("__pycache__"))
    run(*PIP, "wheel", "--no-deps", "--no-index", "--no-build-isolation", "-w", directory, directory / "client")
    (found,) = directory.glob("*.whl")
    return found


def needed(name: str, found: set[str]) -> set[str]:
    """A distribution and all its dependencies in this environment."""
    if name not in found:
        found.add(name)
        for text in distribution(name).requires or ():
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                needed(requirement.name, found)
    return found


@pytest.fixture(scope="module")
def clean(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter whose environment has the wheel and its dependencies."""
    place = tmp_path_factory.mktemp("clean") / "venv"
    run(sys.executable, "-I", "-m", "venv", "--without-pip", place)
    (packages,) = place.glob("lib/python3*/site-packages")
    names: set[str] = set()
    for name in ("httpx2", "msgpack"):
        needed(name, names)
    for name in names:
        one = distribution(name)
        for top in {file.parts[0] for file in one.files or () if file.parts[0] not in ("..", "__pycache__")}:
            source = Path(str(one.locate_file(top)))
            if source.is_dir():
                shutil.copytree(source, packages / top, dirs_exist_ok=True)
            else:
                shutil.copy(source, packages)
    python = place / "bin" / "python"
    run(*PIP, "--python", python, "install", "--no-deps", "--no-index", wheel)
    return python


def test_the_wheel_contains_types_and_no_code_of_the_servers(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (metadata,) = (archive.read(name).decode() for name in names if name.endswith("/METADATA"))
    assert "tarantkv/py.typed" in names
    assert {name.partition("/")[0] for name in names} == {"tarantkv", f"tarantkv-{__version__}.dist-info"}
    assert sorted(re.findall(r"^Requires-Dist: ([\w-]+)", metadata, re.MULTILINE)) == ["httpx2", "msgpack"]
    assert "Requires-Python: >=3.11" in metadata
    assert f"Version: {__version__}\n" in metadata


# Building takes two seconds, copying what it needs several more.
@pytest.mark.long
def test_the_wheel_alone_makes_calls_with_both_clients_and_the_command_line(
    clean: Path, service: Service, token: str, tmp_path: Path
) -> None:
    script = f"""
import asyncio, sys
from tarantkv import AsyncClient, Client
with Client({service.base_url!r}, token={token!r}) as kv:
    assert kv.live()["status"] == "live"
async def main():
    async with AsyncClient({service.base_url!r}, token={token!r}) as kv:
        assert (await kv.ready()).shards
asyncio.run(main())
print(sorted({SERVERS!r} & set(sys.modules)))
"""
    assert run(clean, "-I", "-c", script) == "[]\n"
    command = clean.parent / "tarantkv"
    assert run(command, "--version") == f"tarantkv {__version__}\n"
    assert run(command, "whoami", HOME=str(tmp_path), TARANTKV_URL=service.base_url, TARANTKV_TOKEN=token)
