"""A cluster on three machines: each has an instance of every shard, a Redis, a worker and an api."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path

from clusterctl.cluster import ReplicatedCluster
from clusterctl.config import ReplicatedConfig, of_tests
from clusterctl.engine import Engine
from clusterctl.plan import Instance
from localcluster import probes
from localcluster.ports import free_ports
from localcluster.programs import Program
from tests.cluster.failing import wait_all_follow
from tests.cluster.network import HUB, Network
from tests.faults.console import evaluate
from tests.faults.processes import wait_for

MACHINES = 3
APIS = ("api", "api-2", "api-3")


class PlacedCluster(ReplicatedCluster):
    """The cluster. The program `worker-2`, the instance `s1-2` and the Redis `redis-2` are on machine 2."""

    def __init__(self, config: ReplicatedConfig, network: Network) -> None:
        super().__init__(config)
        self.network = network

    @staticmethod
    def machine(program: str) -> int:
        """The machine of a program, by its name."""
        number = program.rpartition("-")[2]
        return int(number) if number.isdecimal() else 1

    def address(self, program: str) -> str:
        """The address of a program's machine."""
        return self.network.address(self.machine(program))

    def programs(self, workers: int) -> tuple[Program, ...]:
        made = super().programs(workers)
        first = made[-1]
        more = (replace(first, name=name, env={**first.env, "TARANTKV_HOST": self.address(name)}) for name in APIS[1:])
        return tuple(map(self._placed, chain(made, more)))

    def on(self, machine: int) -> list[str]:
        """The programs of a machine."""
        return [status.name for status in self.status() if self.machine(status.name) == machine]

    def lead_from(self, machine: int) -> None:
        """Make the instances of one machine the leaders of all shards."""
        for shard in self.config.plan:
            wanted = f"{shard.name}-{machine}"
            wait_for(partial(self._leads, wanted, shard.name), f"{wanted} does not lead", 30)
        wait_all_follow(self)

    def _leads(self, instance: str, shard: str) -> bool:
        """Whether an instance leads. If not, it starts an election, which it loses while it lacks a change."""
        if self.leader(shard) == instance:
            return True
        evaluate(self.console_socket(instance), "pcall(box.ctl.promote)")
        return self.leader(shard) == instance

    def power_off(self, machine: int) -> None:
        """From now on no packet comes from a machine, and none of its programs runs, until `power_on`."""
        others = [HUB, *(each for each in self.network.machines if each != machine)]
        names = self.on(machine)
        self.network.cut([machine], others)
        for name in names:
            self.kill(name, signal.SIGSTOP)
        for name in names:
            # The supervisor stops the program, so that it is not restarted; the program itself does not notice.
            self._supervisor.call_tolerantly("stopProcess", name, False)
        for name in names:
            self.kill(name, signal.SIGKILL)
        self._wait_stopped(names)

    def power_on(self, machine: int) -> None:
        """Start a machine again; returns when all its programs work."""
        self.network.heal()
        self._start_and_wait(self.on(machine))
        wait_all_follow(self)

    def _placed(self, program: Program) -> Program:
        machine = self.machine(program.name)
        own = {}
        if "TARANTKV_REDIS_URL" in program.env:
            urls = zip(self.config.redis_names, self.config.redis_ports, strict=True)
            own["TARANTKV_REDIS_URL"] = ",".join(f"redis://{self.address(name)}:{port}/0" for name, port in urls)
        argv: Sequence[str] = program.argv
        if program.tier == "redis":
            argv = [self.address(program.name) if part == "127.0.0.1" else part for part in argv]
        return replace(program, argv=(*self.network.inside(machine), *argv), env={**program.env, **own})

    def _check_ports(self) -> None:
        """No other programs run on these machines."""

    def _answers(self, name: str) -> bool:
        if name in self.config.redis_names:
            port = self.config.redis_ports[self.config.redis_names.index(name)]
            return probes.redis_answers(self.config, port, self.address(name))
        if name in APIS:
            return probes.api_is_ready(self.address(name), self.config.api_port, tls=False)
        return super()._answers(name)


def placed(data_dir: Path, engine: Engine, network: Network) -> PlacedCluster:
    """Two shards, not started."""
    config = of_tests(data_dir, engine, settings={"TARANTKV_HOST": network.address(1)})

    def host(instance: str) -> str:
        return network.address(PlacedCluster.machine(instance))

    def moved(instance: Instance) -> Instance:
        return replace(instance, address=f"{host(instance.name)}:{instance.address.rpartition(':')[2]}")

    plan = tuple(replace(shard, instances=tuple(map(moved, shard.instances))) for shard in config.plan)
    shards = tuple(replace(each, host=host(each.name)) for each in config.shards)
    config = replace(config, plan=plan, shards=shards, workers=MACHINES, redis_ports=free_ports(MACHINES))
    return PlacedCluster(config, network)


@contextmanager
def running(data_dir: Path, engine: Engine) -> Iterator[PlacedCluster]:
    """Three machines with a cluster that works."""
    with Network(MACHINES) as network:
        cluster = placed(data_dir, engine, network)
        try:
            cluster.start()
            yield cluster
        finally:
            network.heal()
            cluster.stop()
