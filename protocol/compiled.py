"""Lets api and worker use the modules that `make compiled` made.

The modules of one build rely on each other's memory layout, so a process uses all of them or none. It uses none if any
source of their packages has been edited since the build began, or if the build was made for another Python. The log
then says why.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from hashlib import blake2b
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from sysconfig import get_config_var
from types import ModuleType
from typing import Any, NamedTuple

from protocol.settings.base import SettingsError

_log = logging.getLogger(__name__)

ROOT = Path(__file__).parent.parent
FOLDER = ".compiled"
MANIFEST = "manifest.json"
SETTING = "TARANTKV_COMPILED"
OFF, REQUIRED = "off", "required"


class Use(NamedTuple):
    """Whether compiled modules are used, and why not."""

    used: bool
    why_not: str = ""


class _Finder(MetaPathFinder):
    """Finds compiled modules before anything else does. `files` are theirs, by module name."""

    def __init__(self, files: Mapping[str, Path]) -> None:
        self._files = files

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The compiled module of this name, if there is one."""
        del path, target
        file = self._files.get(fullname)
        return spec_from_file_location(fullname, file) if file is not None else None


def digest(source: bytes) -> str:
    """What tells one source from another."""
    return blake2b(source, digest_size=16).hexdigest()


def binary_interface() -> str:
    """What a compiled module must have been made for: the version, the build and the machine of this Python."""
    return str(get_config_var("SOABI"))


@cache
def use(root: Path = ROOT) -> Use:
    """Have the compiled modules in `root` imported from now on, if they are current. It never fails."""
    if os.environ.get(SETTING, "").strip() == OFF:
        return Use(False, f"{SETTING} is {OFF}")
    try:
        return _use(root, json.loads((root / FOLDER / MANIFEST).read_bytes()))
    except FileNotFoundError as error:
        return Use(False, f"{error.filename} is missing")
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        return Use(False, f"{FOLDER}/{MANIFEST} cannot be read: {error!r}")


def check(setting: str) -> None:
    """Log whether this process uses compiled modules.

    Raises:
        SettingsError: it does not, and `setting` requires them.
    """
    used, why_not = use()
    if used:
        _log.info("compiled modules are used")
    elif setting == REQUIRED:
        raise SettingsError(f"{SETTING} is {REQUIRED}, but the compiled modules cannot be used: {why_not}")
    elif setting != OFF and (ROOT / FOLDER).exists():
        _log.warning("compiled modules are not used", extra={"reason": why_not})


def _use(root: Path, manifest: Mapping[str, Any]) -> Use:
    made_for = manifest["made_for"]
    if made_for != binary_interface():
        return Use(False, f"they were made for {made_for}, this is {binary_interface()}")
    for source, made_of in manifest["sources"].items():
        if digest((root / source).read_bytes()) != made_of:
            return Use(False, f"{source} has changed since they were made; 'make compiled' makes them anew")
    files = {name: root / FOLDER / file for name, file in manifest["modules"].items()}
    for name, file in files.items():
        if name in sys.modules:
            return Use(False, f"{name} was imported before")
        if not file.is_file():
            return Use(False, f"{file} is missing")
    sys.meta_path.insert(0, _Finder(files))
    return Use(True)
