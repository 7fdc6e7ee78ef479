"""Finds the Tarantool and the vshard that a cluster runs on, and checks their versions."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from localcluster.config import ConfigError

TARANTOOL = "TARANTKV_CLUSTER_TARANTOOL"
VSHARD = "TARANTKV_CLUSTER_VSHARD"

LOWEST_TARANTOOL = (3, 8)
"""The version that the tests use. Earlier versions lack options of the configuration."""

VSHARD_VERSION = "0.1.42"
"""The only version that `vshard_pin.lua` accepts; that module checks it again."""

_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class Engine:
    """The programs and modules that instances are started with."""

    tarantool: Path
    vshard: Path
    """The directory that holds the directory `vshard` of Lua modules."""


def find(settings: Mapping[str, str]) -> Engine:
    """The engine that the settings name. Raises `ConfigError` with a text that says what is missing or too old."""
    named = settings.get(TARANTOOL, "tarantool")
    tarantool = shutil.which(named)
    if tarantool is None:
        raise ConfigError(
            f"a cluster needs Tarantool {_text(LOWEST_TARANTOOL)}: {named!r} is not a program; set {TARANTOOL}"
        )
    version = _version_of(tarantool)
    if version < LOWEST_TARANTOOL:
        raise ConfigError(
            f"a cluster needs Tarantool {_text(LOWEST_TARANTOOL)}: {tarantool} is {_text(version)}; set {TARANTOOL}"
        )
    return Engine(Path(tarantool).absolute(), _vshard(settings.get(VSHARD, "")))


def _version_of(tarantool: str) -> tuple[int, ...]:
    try:
        said = subprocess.run([tarantool, "--version"], capture_output=True, text=True, check=False, timeout=_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        raise ConfigError(f"{tarantool} does not tell its version within {_TIMEOUT_S:g} s; set {TARANTOOL}") from None
    match = re.match(r"Tarantool (?:Enterprise )?(\d+)\.(\d+)", said.stdout)
    if match is None:
        raise ConfigError(f"{tarantool} --version does not report a Tarantool; set {TARANTOOL}")
    return int(match[1]), int(match[2])


def _vshard(named: str) -> Path:
    if not named:
        raise ConfigError(f"a cluster needs vshard {VSHARD_VERSION}: set {VSHARD} to the directory that holds vshard/")
    directory = Path(named).absolute()
    constants = directory / "vshard" / "consts.lua"
    try:
        found = re.search(r"VERSION = '([^']+)'", constants.read_text())
    except OSError as error:
        raise ConfigError(f"{VSHARD}: {constants}: {error.strerror}") from None
    if found is None or found[1] != VSHARD_VERSION:
        said = "an unknown version" if found is None else found[1]
        raise ConfigError(f"a cluster needs vshard {VSHARD_VERSION}: {directory} has {said}; set {VSHARD}")
    return directory


def _text(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
