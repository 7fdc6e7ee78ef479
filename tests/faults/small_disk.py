"""A real full disk: a small file system in memory replaces a shard's directory, and a file fills it.

Needs the right to mount, which containers usually do not have; `injections_shards.DiskFull` needs none.
"""

from __future__ import annotations

import errno
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from localcluster.cluster import Cluster

SPARE_BYTES = 4 * 1024 * 1024
_BLOCK = bytes(64 * 1024)


class MountError(Exception):
    """This process may not mount."""


@contextmanager
def small_disk(cluster: Cluster, shard: str) -> Iterator[Path]:
    """During a block, the shard's directory is on a file system of its own, with its former content.

    Raises:
        MountError: nothing was changed.
    """
    program = f"shard-{shard}"
    directory = cluster.layout.data_dir / "shards" / shard
    with tempfile.TemporaryDirectory() as name:
        copy = Path(name) / "copy"
        cluster.stop_program(program)
        try:
            shutil.copytree(directory, copy)
            size = SPARE_BYTES + sum(path.stat().st_size for path in copy.rglob("*"))
            _mount(directory, size)
            try:
                shutil.copytree(copy, directory, dirs_exist_ok=True)
                cluster.start_program(program)
                cluster.wait_running(program)
                yield directory
            finally:
                cluster.stop_program(program)
                shutil.rmtree(copy)
                shutil.copytree(directory, copy)
                subprocess.run(["umount", directory], check=True)
            shutil.rmtree(directory)
            shutil.copytree(copy, directory)
        finally:
            cluster.start_program(program)
            cluster.wait_running(program)


def _mount(directory: Path, size: int) -> None:
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(directory)]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise MountError(str(error)) from error


class Filled:
    """The file system of a directory is full."""

    name = "small-disk-full"

    def __init__(self, directory: Path) -> None:
        self._filler = directory / "filler"

    def start(self, _: Cluster) -> None:
        """Fill it, to the last byte."""
        with self._filler.open("wb", buffering=0) as file:
            for block in (_BLOCK, b"x"):
                try:
                    while True:
                        file.write(block)
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise

    def stop(self, _: Cluster) -> None:
        """Make room."""
        self._filler.unlink(missing_ok=True)
