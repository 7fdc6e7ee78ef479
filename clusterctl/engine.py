"""The Tarantool and the vshard that a cluster runs on: where they are, and whether they are new enough."""

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
"""The version with which elections, leases and moves were tried; earlier ones lack options of the configuration."""

VSHARD_VERSION = "0.1.42"
"""The one of `vshard_pin.lua`, which checks it again."""

_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class Engine:
    """What instances are started with."""

    tarantool: Path
    vshard: Path
    """The directory that holds the directory `vshard` of Lua modules."""


def find(settings: Mapping[str, str]) -> Engine:
    """The engine that the settings name. Raises `ConfigError`, which says what is missing or too old."""
    named = settings.get(TARANTOOL, "tarantool")
    tarantool = shutil.which(named)
    if tarantool is None:
        raise ConfigError(
            f"a cluster needs Tarantool {_text(LOWEST_TARANTOOL)}: {named!r} is no program; set {TARANTOOL}"
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
        raise ConfigError(f"{tarantool} does not say that it is Tarantool; set {TARANTOOL}")
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
