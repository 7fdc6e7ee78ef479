"""`ReplicatedCluster` starts and stops replica sets, Redis, workers and the api on one machine."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from clusterctl import state
from clusterctl.config import ReplicatedConfig, remember
from clusterctl.config_yaml import CLUSTER_PASSWORD, document, render
from clusterctl.engine import Engine
from localcluster import files, programs
from localcluster.cluster import Cluster
from localcluster.config import Shard
from localcluster.launch import RUN_FD
from localcluster.members import tier_of
from localcluster.programs import REPOSITORY, Program
from localcluster.waiting import ClusterError, wait_until

CONFIGURATION = "config.yaml"
_RUN = f"/proc/self/fd/{RUN_FD}"
_CONSOLE = f"{_RUN}/shard-{{{{ instance_name }}}}.sock"

# These paths lead through links in the run directory: in LUA_PATH, a `?` or `;` in a directory's name would be syntax.
_LUA_PATH = ";".join(f"{_RUN}/{link}/{form}" for link in ("lua", "vshard") for form in ("?.lua", "?/init.lua")) + ";;"


class ReplicatedCluster(Cluster):
    """One cluster of replica sets on this machine.

    Its programs are those of `Cluster`, with one program for each instance of a shard: `shard-s1-2`.
    """

    config: ReplicatedConfig

    may_end = 3
    """How often an instance may end during the start. One without data cannot join while its leader creates or changes
    its spaces: it ends, and the supervisor starts it again."""

    def __init__(self, config: ReplicatedConfig) -> None:
        super().__init__(config)

    def start(self) -> None:
        """Start everything, as `Cluster.start` does; when it returns, every bucket belongs to exactly one shard.

        Raises `ClusterError` as `Cluster.start` does, and if a bucket belongs to no shard or to two.
        """
        remember(self.config)
        super().start()
        self.write_configuration()
        self.check_map(self.config.start_timeout_s)

    def programs(self, workers: int) -> tuple[Program, ...]:
        instances = tuple(map(self._instance, self.config.shards))
        return programs.programs(self.config, workers, instances)

    def write(self, wanted: tuple[Program, ...]) -> None:
        files.write(self.config, wanted)
        run = self.layout.run_dir
        files.link(run / "lua", REPOSITORY / "tarantool-cluster")
        files.link(run / "vshard", self._engine.vshard)
        self.write_configuration()

    def write_configuration(self) -> None:
        """Write `config.yaml`. Running instances read it when `changes.reload` tells them to."""
        settings = programs.settings_for(self.config, "shard")
        seed = self.config.membership.seed
        text = render(document(self.config.plan, settings, seed=seed, console=_CONSOLE, empty=self.empty()))
        files.write_private(self.configuration, text)

    def empty(self) -> set[str]:
        """The instances that have no data yet."""
        directories = {shard.name: self.layout.shard_dir(shard) for shard in self.config.shards}
        return {name for name, directory in directories.items() if not any(directory.rglob("*.snap"))}

    def supervise(self) -> None:
        """Supervise exactly the programs of the configuration.

        Starts new instances and waits until they answer; ends instances that the configuration no longer names.
        """
        with self._lock():
            self._supervise_workers(self.workers())
            self._start_and_wait([status.name for status in self.status() if status.pid == 0])
        self.write_configuration()

    def states(self) -> dict[str, dict[str, Any] | None]:
        """What each instance reports about itself, as `state.of` returns it; None: it does not answer."""
        return {shard.name: state.of(self.console_socket(shard.name)) for shard in self.config.shards}

    def leader(self, shard: str, *, but: str | None = None) -> str | None:
        """The instance that says that it leads a shard, or None. The instance `but` is not asked."""
        for instance in self.config.shards:
            if instance.shard == shard and instance.name != but:
                said = state.of(self.console_socket(instance.name))
                if said is not None and said["leads"]:
                    return instance.name
        return None

    def check_map(self, timeout_s: float) -> None:
        """Wait until every bucket belongs to exactly one shard, by what the leaders say. Raises `ClusterError`."""
        fault: list[str | None] = [None]

        def is_whole() -> bool:
            leading = {
                instance.shard: said["ranges"]
                for instance in self.config.shards
                if (said := state.of(self.console_socket(instance.name))) is not None and said["leads"]
            }
            missing = [shard.name for shard in self.config.plan if shard.name not in leading]
            if missing:
                fault[0] = f"no instance leads {', '.join(missing)}"
            else:
                fault[0] = state.map_fault(leading, self.config.bucket_count)
            return fault[0] is None

        wait_until(is_whole, time.monotonic() + timeout_s, lambda: str(fault[0]))

    def _answers(self, name: str) -> bool:
        if not super()._answers(name):
            return False
        if tier_of(name) != "shard":
            return True
        said = state.of(self.layout.socket(name))
        made_later = {
            f"shard-{instance.name}"
            for shard in self.config.plan
            if shard.first_buckets is None
            for instance in shard.instances
        }
        return said is not None and (said["has_first_buckets"] or (name in made_later and said["ready"]))

    def _instance(self, shard: Shard) -> Program:
        own = {
            "LUA_PATH": _LUA_PATH,
            CLUSTER_PASSWORD: self.config.instances_password,
            "TARANTKV_STORE_PASSWORD": self.config.settings["TARANTKV_STORE_PASSWORD"],
        }
        command = (str(self._engine.tarantool), "--name", shard.name, "--config", f"{_RUN}/{CONFIGURATION}")
        return Program(
            f"shard-{shard.name}",
            "shard",
            command,
            programs.base_env() | own,
            self.layout.shard_dir(shard),
            # Otherwise Tarantool reads Lua from the supervisor's pipe, and all its fibers wait for that.
            stdin=Path(os.devnull),
        )

    @property
    def _engine(self) -> Engine:
        if self.config.engine is None:
            raise ClusterError("this cluster was configured without a Tarantool to run on")
        return self.config.engine

    @property
    def configuration(self) -> Path:
        """The path of the instances' `config.yaml`."""
        return self.layout.run_dir / CONFIGURATION
