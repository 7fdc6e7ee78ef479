"""A shard that is added to a running cluster: a process beside the cluster's own, which owns no bucket at first."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from localcluster import programs
from localcluster.cluster import Cluster
from localcluster.ports import free_ports
from tests.faults.console import evaluate
from tests.faults.mover import Mover
from tests.faults.processes import wait_for
from tests.integration.processes import environment

NAME = "s9"


class AddedShard:
    """The process of a shard. `mover` moves buckets to it and back."""

    def __init__(self, mover: Mover, directory: Path) -> None:
        self.mover = mover
        (port,) = free_ports(1)
        self.address = ("127.0.0.1", port)
        self.console = directory / "console"
        cluster = mover.cluster
        settings = programs.settings_for(cluster.config, "shard")
        with (directory / "log").open("w") as log:
            self._process = subprocess.Popen(
                [str(shutil.which("tarantool")), str(programs.REPOSITORY / "tarantool-cluster" / "init.lua")],
                env=environment(
                    cluster,
                    {
                        "TARANTKV_SHARDS": f"{settings['TARANTKV_SHARDS']};{NAME}=127.0.0.1:{port}",
                        "TARANTKV_SHARD": NAME,
                        "TARANTKV_SHARD_LISTEN": f"127.0.0.1:{port}",
                        "TARANTKV_SHARD_DIR": str(directory),
                        "TARANTKV_SHARD_CONSOLE": str(self.console),
                    },
                    "shard",
                ),
                cwd=directory,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
            )

    def join(self) -> None:
        """Wait until it is up, and let it own nothing."""
        wait_for(self._is_up, f"the shard does not start, see {self.console.parent}", 30)
        bucket_count = self.mover.bucket_count
        evaluate(self.console, f"require('tarantkv.ownership').assign({bucket_count}, {{}})")
        self.mover.add(NAME, self.console)

    def _is_up(self) -> bool:
        assert self._process.poll() is None, "the shard has ended"
        try:
            return bool(evaluate(self.console, "tarantkv ~= nil and box.info.status")[0] == "running")
        except OSError:
            return False

    def kill(self) -> None:
        """Kill it."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(10)


def announce(mover: Mover, shards: Sequence[tuple[str, tuple[str, int]]]) -> None:
    """Let every shard of the cluster announce these shards."""
    told = ", ".join(f"{name} = {{{{'{host}', {port}}}}}" for name, (host, port) in shards)
    for shard in mover.shards:
        evaluate(mover.console(shard), f"require('tarantkv.describe').announce({{{told}}})")


def addresses(cluster: Cluster) -> list[tuple[str, tuple[str, int]]]:
    """The cluster's own shards."""
    return [(shard.name, ("127.0.0.1", shard.port)) for shard in cluster.config.shards]


@contextmanager
def added_shard(mover: Mover) -> Iterator[AddedShard]:
    """Another shard, not announced yet. Afterwards the cluster is as before, and announces only its own shards."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as directory:
        shard = AddedShard(mover, Path(directory))
        try:
            shard.join()
            yield shard
        finally:
            mover.home()
            mover.remove(NAME)
            announce(mover, addresses(mover.cluster))
            shard.kill()
