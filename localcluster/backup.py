"""Backups: copies every shard's newest snapshot and the logs after it while the shard runs, and puts them back.

Each shard is backed up as of one moment, but the moments of the shards differ a little: the system promises nothing
across keys of different shards. A backup gets its name only when it is complete; `backup.json` lists its files with
their checksums. Redis contains nothing to back up. `clusterctl.backup` does the same for replica sets, with these
functions.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from localcluster import shard_console
from localcluster.cluster import Cluster
from localcluster.config import shard_dir
from localcluster.waiting import ClusterError

MANIFEST = "backup.json"
FORMAT = 1

_PIECE = 4 * 1024 * 1024
_TELL_EVERY_S = 1.0

# A backup of Tarantool that a killed process had started would keep its snapshot for ever.
_BEGIN = """
    pcall(box.backup.stop)
    box.snapshot()
    local files = box.backup.start()
    local fio = require('fio')
    for i, file in ipairs(files) do files[i] = fio.abspath(file) end
    return files
"""
_END = "box.backup.stop() return true"

Say = Callable[[str], None]


class Progress:
    """Reports the progress of the copying, about once a second."""

    def __init__(self, say: Say, what: str, total: int) -> None:
        self._say = say
        self._what = what
        self._total = total
        self._done = 0
        self._next = time.monotonic() + _TELL_EVERY_S

    def add(self, size: int) -> None:
        """Count bytes that were copied."""
        self._done += size
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _TELL_EVERY_S
            share = 100 * self._done // max(1, self._total)
            self._say(f"{self._what}: {min(share, 100)} % of {self._total / 2**20:.0f} MiB")


def backup(cluster: Cluster, target: Path, say: Say) -> int:
    """Back up every shard of a running cluster into the new directory `target`; returns the number of bytes.

    Raises:
        ClusterError: a shard does not run, or `target` exists.
    """
    with new_backup(cluster, target) as scratch:
        shards = {
            shard.name: copy_shard(cluster, shard.name, shard.name, scratch, say) for shard in cluster.config.shards
        }
        finish(scratch, shards)
    return size_of(shards)


@contextlib.contextmanager
def new_backup(cluster: Cluster, target: Path) -> Iterator[Path]:
    """A directory that becomes `target` in the end. Raises `ClusterError` if `target` exists."""
    if target.exists():
        raise ClusterError(f"{target} is there already")
    scratch = target.with_name(target.name + ".unfinished")
    target.parent.mkdir(parents=True, exist_ok=True)
    with alone(cluster):
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(mode=0o700)
        yield scratch
        scratch.rename(target)


def finish(scratch: Path, shards: Mapping[str, Any], more: Mapping[str, Any] | None = None) -> None:
    """Write the manifest of a backup; `more` are further members of it."""
    manifest = {"format": FORMAT, "made_at": int(time.time()), **(more or {}), "shards": shards}
    _write(scratch / MANIFEST, json.dumps(manifest, indent=1).encode())


def size_of(shards: Mapping[str, Mapping[str, Any]]) -> int:
    """The size of a backup's files in bytes."""
    return sum(file["size"] for files in shards.values() for file in files.values())


def copy_shard(
    cluster: Cluster, shard: str, instance: str, scratch: Path, say: Say, before_logs: Callable[[], None] = lambda: None
) -> dict[str, Any]:
    """Copy a shard's data from one of its instances; returns its files, each with size and checksum. The copy contains
    all data that the shard has when `before_logs` returns.

    Raises:
        ClusterError: the instance does not run, or a file cannot be read or written.
    """
    say(f"{shard}: makes a snapshot ...")
    console = cluster.console_socket(instance)
    source = shard_dir(cluster.config.data_dir, instance)
    target = scratch / shard
    target.mkdir(mode=0o700)
    kept = [Path(file) for file in shard_console.run(console, _BEGIN)]
    snapshots = [file for file in kept if file.suffix != ".xlog"]
    try:
        copied = _copy_files(snapshots, target, Progress(say, shard, _size_of(snapshots)))
        before_logs()
        first = max(file.stem for file in snapshots if file.suffix == ".snap")
        logs = sorted(file for file in source.glob("*.xlog") if file.stem >= first)
        return copied | _copy_files(logs, target, Progress(say, f"{shard}, logs", _size_of(logs)))
    finally:
        shard_console.run(console, _END)


def restore(cluster: Cluster, source: Path, say: Say) -> int:
    """Put a backup into a cluster that was never started, where its shards look for their data; returns its bytes.

    Raises:
        ClusterError: it is not a complete backup, or there is data already.
    """
    manifest = read_manifest(source)
    shards = manifest["shards"]
    if "cluster" in manifest:
        raise ClusterError(f"{source} is of a cluster of replica sets: make cluster-restore puts it back")
    configured = {shard.name for shard in cluster.config.shards}
    if "TARANTKV_SHARDS" in cluster.config.settings and configured != set(shards):
        raise ClusterError(f"the backup is of shards {', '.join(shards)}, TARANTKV_SHARDS names others")
    with empty_shards(cluster, "make down") as scratch:
        for shard in shards:
            put_back(source, shard, shards[shard], scratch / shard, say)
    return size_of(shards)


@contextlib.contextmanager
def empty_shards(cluster: Cluster, stop: str) -> Iterator[Path]:
    """A directory that becomes the shards' data directory in the end.

    Raises:
        ClusterError: the cluster runs (`stop` is the command that ends it), or there is data already.
    """
    there = cluster.config.data_dir / "shards"
    if cluster.is_running():
        raise ClusterError(f"the cluster runs: stop it first ({stop})")
    if there.exists() and any(there.iterdir()):
        raise ClusterError(f"{there} holds data: move it away first")
    scratch = there.with_name("shards.unfinished")
    shutil.rmtree(scratch, ignore_errors=True)
    yield scratch
    if there.exists():
        there.rmdir()
    scratch.rename(there)


def put_back(source: Path, shard: str, files: Mapping[str, Any], target: Path, say: Say) -> None:
    """Copy a shard's files from a backup. Raises `ClusterError` if one differs from what was backed up."""
    target.mkdir(parents=True, mode=0o700)
    progress = Progress(say, shard, sum(file["size"] for file in files.values()))
    for name, expected in files.items():
        copied = _copy(source / shard / name, target / name, expected["size"], progress)
        if copied != expected:
            raise ClusterError(f"{source / shard / name} is damaged: it is not what was backed up")


def read_manifest(source: Path) -> dict[str, Any]:
    """Read the manifest of a backup. Raises `ClusterError` if it is not a backup."""
    try:
        manifest: dict[str, Any] = json.loads((source / MANIFEST).read_text())
        if manifest["format"] != FORMAT:
            raise ClusterError(f"{source} has format {manifest['format']}, this version reads {FORMAT}")
        shards: dict[str, dict[str, Any]] = manifest["shards"]
    except (OSError, ValueError, LookupError, TypeError):
        raise ClusterError(f"{source} is no backup: it has no {MANIFEST} that can be read") from None
    for shard, files in shards.items():
        if any(not name or Path(name).name != name for name in (shard, *files)):
            raise ClusterError(f"{source}: {MANIFEST} names a file outside of it")
    return manifest


def _size_of(files: Sequence[Path]) -> int:
    return sum(file.stat().st_size for file in files)


def _copy_files(files: Sequence[Path], target: Path, progress: Progress) -> dict[str, Any]:
    """Copy files up to their present ends: a log may end in the middle of a transaction, as after a crash."""
    return {file.name: _copy(file, target / file.name, file.stat().st_size, progress) for file in files}


def _copy(source: Path, target: Path, size: int, progress: Progress) -> dict[str, Any]:
    """Copy the first `size` bytes of a file; returns their number and their checksum."""
    digest = hashlib.sha256()
    left = size
    try:
        with source.open("rb") as read, target.open("xb") as written:
            target.chmod(0o600)
            while left and (piece := read.read(min(left, _PIECE))):
                written.write(piece)
                digest.update(piece)
                left -= len(piece)
                progress.add(len(piece))
            written.flush()
            os.fsync(written.fileno())
    except OSError as error:
        raise ClusterError(f"{error.filename or source}: {error.strerror}") from None
    return {"size": size - left, "sha256": digest.hexdigest()}


def _write(path: Path, content: bytes) -> None:
    with path.open("xb") as file:
        path.chmod(0o600)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


@contextlib.contextmanager
def alone(cluster: Cluster) -> Iterator[None]:
    """Only one backup runs at a time: the end of another one would let the shard remove its files."""
    with (cluster.layout.run_dir / "backup.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ClusterError("another backup is under way") from None
        yield
