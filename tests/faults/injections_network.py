"""Faults of the network between two tiers: each kind of condition, on the links of each pair of tiers.

A link has one fault at a time: the end of any fault repairs its links.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

from localcluster.cluster import Cluster
from tests.faults.network import CUT, Condition, Link, Treatment
from tests.faults.networked import Network

SLOW_S = 0.2
DAMAGE = 0.1
"""Pieces that lose some bytes. Each ends its connection, most of them by a timeout of several seconds."""

_SLOW, _SWALLOWED, _HELD, _DAMAGED = (
    Treatment(delay_s=SLOW_S),
    Treatment(swallow=True),
    Treatment(hold=True),
    Treatment(damage=DAMAGE),
)

KINDS: Mapping[str, Condition] = MappingProxyType(
    {
        "cut": CUT,
        "slow": Condition(requests=_SLOW, answers=_SLOW),
        "half-open": Condition(requests=_SWALLOWED, answers=_SWALLOWED),
        "requests-lost": Condition(requests=_SWALLOWED),
        "answers-lost": Condition(answers=_SWALLOWED),
        "held": Condition(requests=_HELD, answers=_HELD),
        "requests-held": Condition(requests=_HELD),
        "damaged": Condition(requests=_DAMAGED, answers=_DAMAGED),
    }
)
"""The conditions of a link; requests go from the first tier of its name to the second."""


class NetworkFault:
    """The links between two tiers in one of the conditions of `KINDS`."""

    def __init__(self, pair: str, links: Sequence[Link], kind: str) -> None:
        self.name = f"{pair}-{kind}"
        self._links = links
        self._condition = KINDS[kind]

    @property
    def damaged(self) -> int:
        """How many pieces have lost bytes on these links since the links were made."""
        return sum(link.damaged for link in self._links)

    def start(self, _: Cluster) -> None:
        """Put the links into the condition."""
        for link in self._links:
            link.set(self._condition)

    def stop(self, _: Cluster) -> None:
        """Make the links whole."""
        for link in self._links:
            link.heal()


def pairs(network: Network) -> dict[str, tuple[Link, ...]]:
    """The links between each pair of tiers; the links to one shard are also a pair of their own."""
    return {
        "client-api": (network.client_api,),
        "api-redis": (network.api_redis,),
        "worker-redis": (network.worker_redis,),
        "worker-shards": tuple(network.worker_shard.values()),
        "worker-s2": (network.worker_shard["s2"],),
    }


def network_faults(network: Network) -> Iterator[NetworkFault]:
    """Every kind of fault on every pair of tiers."""
    for pair, links in pairs(network).items():
        for kind in KINDS:
            yield NetworkFault(pair, links, kind)
