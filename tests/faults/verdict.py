"""All checks of the answers to the clients of a run, and of the store's counters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from localcluster.cluster import Cluster
from tests.faults import linearizability
from tests.faults.answers import DEADLINE_S
from tests.faults.console import applications
from tests.faults.history import SERVED, Call
from tests.faults.invariants import breaches
from tests.faults.limits import felt_at_most
from tests.faults.operations import operations

LATE_S = felt_at_most(1.0)
"""How long after its deadline a call may be answered: the grace period, and a look-up of the user before."""


@dataclass(frozen=True, slots=True)
class Run:
    """A history, and the time of the fault."""

    name: str
    calls: Sequence[Call]
    struck: float
    healed: float
    """When the fault ended; killed programs may still be starting then."""
    late_s: float = LATE_S
    deadline_s: float = DEADLINE_S

    def failures(self, calls: Sequence[Call] | None = None) -> dict[str, int]:
        """How often each answer occurred that did not serve a call, retries included."""
        chosen = self.calls if calls is None else calls
        return dict(Counter(answer for call in chosen for answer in call.answers if answer not in SERVED))

    @property
    def usual_wait_s(self) -> float:
        """The longest wait before the fault: how fast this machine is at the moment."""
        return max(call.longest_s for call in self.calls if call.answered <= self.struck)

    def stall_s(self, calls: Sequence[Call] | None = None) -> float:
        """How much longer than usual the longest wait for an answer was."""
        chosen = self.calls if calls is None else calls
        return max(call.longest_s for call in chosen) - self.usual_wait_s

    @property
    def recovery_s(self) -> float:
        """From the end of the fault until every key had been served again."""
        served: dict[str, float] = {}
        for call in self.calls:
            if call.succeeded and call.answered > self.healed:
                for key in call.keys:
                    served[key] = min(served.get(key, call.answered), call.answered)
        return max(served.values()) - self.healed

    def kinds(self) -> dict[str, int]:
        """How many calls of each kind were made, and how many were refused for a condition."""
        kinds = Counter(call.kind for call in self.calls)
        kinds["409"] = sum(call.answers[-1] == "409" for call in self.calls)
        return dict(sorted(kinds.items()))

    def summary(self, problems: Sequence[str]) -> dict[str, object]:
        """The answers to the clients, in one line."""
        return {
            "name": self.name,
            "calls": len(self.calls),
            "kinds": self.kinds(),
            "failures": self.failures(),
            "usual_wait_s": round(self.usual_wait_s, 2),
            "stall_s": round(self.stall_s(), 2),
            "recovery_s": round(self.recovery_s, 2),
            "violations": list(problems),
        }


def violations(run: Run) -> list[str]:
    """The promises that a history breaks, one line each."""
    return [*map(str, breaches(run.calls)), *_not_linearizable(run), *_late(run)]


def applied_twice(cluster: Cluster) -> Iterator[str]:
    """The errors that the store's counters show."""
    counts = [applications(cluster, shard.name) for shard in cluster.config.shards]
    if not sum(chunks for chunks, _ in counts):
        yield "the shards do not count what they apply"
    for shard, (_, most) in zip(cluster.config.shards, counts, strict=True):
        if most > 1:
            yield f"shard {shard.name} applied a chunk {most} times"


def _not_linearizable(run: Run) -> Iterator[str]:
    for key, violation in linearizability.check_all(operations(run.calls)).items():
        yield f"{key} is not linearizable: {violation}"


def _late(run: Run) -> Iterator[str]:
    """Answers long after the deadline."""
    for call in run.calls:
        if call.longest_s > run.deadline_s + run.late_s + run.usual_wait_s:
            yield f"answered after {call.longest_s:.2f} s: {call}"
