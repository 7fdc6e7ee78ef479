"""Every fault by name, for runs that draw faults at random: what it touches, and how its injection is made."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

from localcluster.cluster import Cluster
from tests.faults.clocks import ProcessClock
from tests.faults.injection import Injection
from tests.faults.injections_failover import Demoted, FailedOver, Loading
from tests.faults.injections_network import KINDS, NetworkFault, pairs
from tests.faults.injections_processes import Down, Frozen, Killed, WorkersChanging
from tests.faults.injections_redis import Busy, ConnectionsKilled, Emptied, OutOfMemory, Paused, ReadOnly
from tests.faults.injections_shards import DiskFull, MemoryFull, ReadOnlyShard, ShardClock
from tests.faults.networked import Network

SKEW_S = 30
SHARDS = ("s1", "s2", "s3")

_PAIRS = ("client-api", "api-redis", "worker-redis", "worker-shards", "worker-s2")


@dataclass(frozen=True)
class Stage:
    """The cluster and links that faults are injected into."""

    cluster: Cluster
    network: Network
    clock: ProcessClock
    """Of the second api process."""


@dataclass(frozen=True)
class Fault:
    """Faults that touch the same thing are never injected at the same time: the end of one would end the other."""

    touches: frozenset[str]
    make: Callable[[Stage], Injection]


def _plain(touches: Iterable[str], make: Callable[[], Injection]) -> tuple[str, Fault]:
    """A fault whose injection needs nothing of the cluster."""
    return make().name, Fault(frozenset(touches), lambda _: make())


def _processes() -> Iterator[tuple[str, Fault]]:
    targets = {
        "worker": ("workers",),
        "workers": ("workers",),
        "api": ("api",),
        "redis": ("redis",),
        "shard-s1": ("s1",),
        "shards": SHARDS,
    }
    for target, touches in targets.items():
        yield _plain(touches, partial(Killed, target))
        yield _plain(touches, partial(Frozen, target))
    for target in ("api", "redis", "shard-s1"):
        yield _plain(targets[target], partial(Down, target))
    yield _plain({"workers"}, WorkersChanging)


def _shards() -> Iterator[tuple[str, Fault]]:
    yield _plain({"s1"}, partial(DiskFull, "s1"))
    yield _plain({"s2"}, partial(MemoryFull, "s2"))
    yield _plain({"s1"}, partial(ReadOnlyShard, "s1"))
    yield _plain({"s3"}, partial(ShardClock, "s3", SKEW_S))
    yield _plain({"s3"}, partial(ShardClock, "s3", -SKEW_S))


def _redis() -> Iterator[tuple[str, Fault]]:
    for make in (Paused, OutOfMemory, ReadOnly, Busy, Emptied):
        yield _plain({"redis"}, make)
    for client in ("worker", "api-send", "api-read"):
        yield _plain({"redis"}, partial(ConnectionsKilled, client))
    links = frozenset({"redis", "api-redis", "worker-redis"})
    yield FailedOver.name, Fault(links, lambda stage: FailedOver(stage.network))
    yield "redis-demoted", Fault(links, lambda stage: Demoted(stage.network))
    yield "redis-demoted-cut-off", Fault(links, lambda stage: Demoted(stage.network, cut_off=True))
    yield Loading.name, Fault(links, lambda stage: Loading(stage.network))


def _network_fault(pair: str, kind: str, stage: Stage) -> Injection:
    return NetworkFault(pair, pairs(stage.network)[pair], kind)


def _network() -> Iterator[tuple[str, Fault]]:
    for pair in _PAIRS:
        touches = frozenset({"worker-shards" if pair == "worker-s2" else pair})
        for kind in KINDS:
            # HTTP without TLS has no checksum: a damaged request can be a different valid request, which no promise
            # covers.
            if (pair, kind) != ("client-api", "damaged"):
                yield f"{pair}-{kind}", Fault(touches, partial(_network_fault, pair, kind))


def _clock(offset_s: int, stage: Stage) -> Injection:
    return stage.clock.off_by(offset_s)


def _clocks() -> Iterator[tuple[str, Fault]]:
    for offset_s in (SKEW_S, -SKEW_S):
        yield f"api-clock-{offset_s:+d}s", Fault(frozenset({"api-clock"}), partial(_clock, offset_s))


FAULTS: Mapping[str, Fault] = MappingProxyType(
    dict([*_processes(), *_shards(), *_redis(), *_network(), *_clocks()]),
)
