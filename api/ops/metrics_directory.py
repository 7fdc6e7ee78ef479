"""The directory in which several api processes keep their numbers and reports, made by the process that starts them.

A process that is killed leaves its directory behind. The next one removes it: the owner of a directory holds a lock on
a file in it for as long as it lives.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

_log = logging.getLogger(__name__)

PREFIX = "tarant-kv-metrics-"
OWNER = "owner"
"""The file that is locked. Directories without it are of other programs, of earlier versions, or being made."""


@contextmanager
def metrics_directory() -> Iterator[str]:
    """Make a directory, and remove it at the end; before that, remove those whose owner is gone."""
    remove_left_behind(Path(tempfile.gettempdir()))
    with tempfile.TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True) as directory, _owned(Path(directory)):
        yield directory


def remove_left_behind(parent: Path) -> None:
    """Remove the directories in `parent` whose owner is gone."""
    for owner in parent.glob(f"{PREFIX}*/{OWNER}"):
        with suppress(OSError), owner.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if owner.parent.stat().st_uid == os.getuid() and not owner.parent.is_symlink():
                shutil.rmtree(owner.parent)
                _log.info("removed the directory of an api that was killed", extra={"directory": str(owner.parent)})


def _owned(directory: Path) -> closing[BinaryIO]:
    """Lock the directory; it is locked before others can see that it has an owner."""
    scratch = directory / f"{OWNER}.new"
    file = scratch.open("wb")
    fcntl.flock(file, fcntl.LOCK_EX)
    scratch.rename(directory / OWNER)
    return closing(file)
