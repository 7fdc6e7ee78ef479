"""Workers besides those of a cluster, or instead of them."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from localcluster import programs
from localcluster.cluster import Cluster
from tests.faults.processes import is_worker, wait_for
from tests.integration.processes import environment


@contextmanager
def another_worker(
    cluster: Cluster, settings: Mapping[str, str] | None = None, module: Sequence[str] = ("worker",)
) -> Iterator[int]:
    """Another worker with some settings of its own; yields its process id."""
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *module],
            env=environment(cluster, settings or {}, "worker"),
            cwd=programs.REPOSITORY,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )

        def has_started() -> bool:
            output.seek(0)
            text = output.read()
            assert process.poll() is None, text
            return "worker started" in text

        try:
            wait_for(has_started, "the worker does not start", 30)
            yield process.pid
        finally:
            process.terminate()
            process.wait(30)


@contextmanager
def without_workers(cluster: Cluster) -> Iterator[None]:
    """A `with` block in which none of the cluster's own workers runs."""
    names = [status.name for status in cluster.status() if is_worker(status.name)]
    try:
        for name in names:
            cluster.stop_program(name)
        yield
    finally:
        for name in names:
            cluster.start_program(name)
