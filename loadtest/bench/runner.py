"""Runs a plan: starts the systems, fills them, and measures them in turn, round by round."""

from __future__ import annotations

import platform
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TextIO

import msgspec

from loadtest.bench import accounting, systems
from loadtest.bench.bodies import BodyFiles
from loadtest.bench.load import Load, LoadError
from loadtest.bench.plan import OWN_OPERATIONS, Combination, Plan, Values
from loadtest.bench.ratios import CLUSTER
from loadtest.bench.results import GENERATOR, Measurement, Results
from loadtest.bench.systems import Kv, System
from loadtest.bench.values import Data, records

KV, FASTAPI, TASKIQ, FLOOR = "tarant-kv", "fastapi", "taskiq", "floor"
SYSTEMS = (KV, FASTAPI, TASKIQ, FLOOR)
REPLICAS = 3
PEERS = (FASTAPI, TASKIQ, FLOOR)
_LONGER = 5
"""A measurement without a single answer, as can happen on a busy machine, is repeated with this many times the
length."""

_SETTLE_POLL_S = 0.05
_SETTLE_TIMEOUT_S = 3.0
_QUIET_S = 0.02
_STEP = 7919
"""Each measurement begins this many bodies after the one before: a prime, so that no two send the same requests."""


class Runner:
    """One run."""

    def __init__(self, plan: Plan, names: Sequence[str], trees: dict[str, Path], work: Path, log: TextIO) -> None:
        self._plan = plan
        self._names = names
        self._trees = trees
        self._work = work
        self._log = log
        self._bodies = BodyFiles(work / "bodies")
        self._data: dict[Values, Data] = {"string": Data("string", plan.string_keys)}
        if plan.record_keys:
            self._data["record"] = Data("record", plan.record_keys, records())
        self._position = 0

    def run(self) -> Results:
        """Start, fill, measure, stop."""
        with ExitStack() as stack:
            running = self._start(stack)
            results = Results(machine=_machine(), systems=[system.name for system in running])
            self._fill(running)
            for number in range(self._plan.rounds):
                for combination in self._plan.of_round(number):
                    self._measure_all(running, combination, number, results)
            for system in running:
                for data in self._data.values():
                    system.driver.verify(data)
                results.memory[system.name] = accounting.memory(system.roots)
            self._say("stopping")
        return results

    def _say(self, text: str) -> None:
        print(text, file=self._log, flush=True)

    def _start(self, stack: ExitStack) -> list[System]:
        kvs: dict[str, Kv] = {}
        wanted = [name for name in self._names if name in self._trees]
        # The floor is measured on the shards of the first tarant-kv.
        for name in wanted or ([KV] if FLOOR in self._names else []):
            self._say(f"starting {name}")
            directory = self._work / name.replace(":", "-")
            replicas = REPLICAS if name == CLUSTER else 0
            kvs[name] = stack.enter_context(systems.tarant_kv(name, self._trees[name], directory, replicas))
        first = next(iter(kvs.values()), None)
        processes = first.http_processes if first is not None else systems.default_http_processes()
        shards = first.shards if first is not None else systems.default_shards()
        workers = first.workers if first is not None else systems.PEER_WORKERS
        found = []
        for name in self._names:
            if name in kvs:
                found.append(kvs[name].system)
            elif name == FASTAPI:
                self._say(f"starting {name}")
                found.append(stack.enter_context(systems.fastapi(self._work / name, processes, shards)))
            elif name == TASKIQ:
                self._say(f"starting {name}")
                found.append(stack.enter_context(systems.taskiq(self._work / name, processes, shards, workers)))
            elif first is not None:
                found.append(stack.enter_context(systems.floor(first)))
        return found

    def _fill(self, running: Sequence[System]) -> None:
        filled = set()
        for system in running:
            if system.roots["tarantool"] not in filled:
                filled.add(system.roots["tarantool"])
                for kind, data in self._data.items():
                    began = time.monotonic()
                    system.driver.fill(data)
                    self._say(f"filled {system.name}: {data.count:,} {kind}s in {time.monotonic() - began:.1f} s")
            for data in self._data.values():
                system.driver.verify(data)

    def _measure_all(self, running: Sequence[System], combination: Combination, number: int, results: Results) -> None:
        bodies = self._bodies.path(self._data[combination.values], combination)
        rate = self._offered(combination, results)
        for system in running:
            if (combination.share and not rate) or (system.name == FLOOR and combination in self._plan.extras):
                continue
            if combination.operation in OWN_OPERATIONS and system.name in PEERS:
                continue
            self._position += _STEP
            warm_up = system.driver.run(combination, bodies, self._plan.warm_up_s, self._position, rate)
            if warm_up.failures:
                raise LoadError(f"{system.name} failed while it was warmed up: {combination}: {warm_up.errors}")
            measurement = self._measure(system, combination, number, bodies, rate)
            results.measurements.append(measurement)
            self._say(_line(measurement))

    def _measure(self, system: System, combination: Combination, number: int, bodies: Path, rate: float) -> Measurement:
        def once(duration: float) -> tuple[Load, accounting.Snapshot, float]:
            _settle(system)
            self._position += _STEP
            began = time.monotonic()
            before = accounting.snapshot(system.roots)
            load = system.driver.run(combination, bodies, duration, self._position, rate)
            _settle(system)
            spent = accounting.spent(before, accounting.snapshot(system.roots))
            return load, spent, time.monotonic() - began

        seconds = self._plan.seconds_of(combination)
        load, spent, took = once(seconds)
        if not load.requests:
            load, spent, took = once(_LONGER * seconds)
        if not load.requests:
            raise LoadError(f"{system.name} answered nothing: {combination}: {load.errors}")
        self._check_size(system, combination, load)
        cpu_s = {**spent.tiers, GENERATOR: load.generator_cpu_s}
        return Measurement(
            system=system.name,
            combination=combination,
            round=number,
            load=load,
            cpu_s=cpu_s,
            other_cores=max(0.0, spent.machine - sum(cpu_s.values())) / took,
        )

    def _check_size(self, system: System, combination: Combination, load: Load) -> None:
        """Check that the answers of a read were long enough to contain every requested value."""
        if combination.operation == "read" and combination.values == "string" and load.bytes:
            data = self._data["string"]
            least = combination.batch * (len(data.key(0)) + len(data.value(0)))
            if load.bytes < least * load.requests:
                raise LoadError(f"{system.name}: answers are too short: {combination}")

    def _offered(self, combination: Combination, results: Results) -> float:
        """Requests per second to offer: the same for every system, a share of the rate that FastAPI reached."""
        if not combination.share:
            return 0.0
        unlimited = msgspec.structs.replace(combination, share=0.0)
        for measurement in results.measurements:
            if measurement.system == FASTAPI and measurement.combination == unlimited:
                return measurement.requests_per_s * combination.share
        return 0.0


def _settle(system: System) -> None:
    """Wait until the system has finished the remaining work of the last load, for some seconds at most."""
    deadline = time.monotonic() + _SETTLE_TIMEOUT_S
    before = accounting.snapshot(system.roots)
    while time.monotonic() < deadline:
        time.sleep(_SETTLE_POLL_S)
        now = accounting.snapshot(system.roots)
        if sum(accounting.spent(before, now).tiers.values()) <= _QUIET_S:
            return
        before = now


def _line(measurement: Measurement) -> str:
    tiers = ", ".join(f"{tier} {measurement.cpu_us_per_request(tier):,.0f}" for tier in measurement.cpu_s)
    errors = f"  ERRORS {measurement.load.errors}" if measurement.load.failures else ""
    return (
        f"[{measurement.round + 1}] {measurement.combination}: {measurement.system:<10} "
        f"us/request: {tiers}; {measurement.requests_per_s:,.0f} requests/s, {measurement.keys_per_s:,.0f} keys/s, "
        f"p99 {measurement.load.latency_us['99'] / 1000:.1f} ms{errors}"
    )


def _machine() -> dict[str, str]:
    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    return {
        "cpu": cpu,
        "cores": str(systems.cores()),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }
