"""A run: load before, during and after a fault, then every check on what the clients saw."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from localcluster.cluster import Cluster
from tests.faults import jepsen, linearizability
from tests.faults.console import applications
from tests.faults.history import Call, operations, write_json
from tests.faults.invariants import breaches
from tests.faults.load import DEADLINE_S, HTTP_TIMEOUT_S, SKEW_S, Load, Mix, login

LATE_S = 1.0
"""How long after its deadline a call may be answered: the grace after it, a look-up of the user before it."""

REPORT = "FAULT_REPORT"
"""A file named by this variable gets one JSON object for each run."""

HISTORIES = "FAULT_HISTORIES"
"""A directory named by this variable gets the history of each run, in Jepsen's form."""

Fault = Callable[[Load], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Run:
    """A history, and when the fault struck."""

    name: str
    calls: Sequence[Call]
    struck: float
    healed: float
    """When the fault was over; what was killed may still be starting then."""
    late_s: float = LATE_S

    def failures(self, calls: Sequence[Call] | None = None) -> dict[str, int]:
        """How often each answer but 200 was given, retries included."""
        chosen = self.calls if calls is None else calls
        return dict(Counter(answer for call in chosen for answer in call.answers if answer != "200"))

    @property
    def usual_wait_s(self) -> float:
        """The longest wait before the fault: what this machine takes at this moment."""
        return max(call.longest_s for call in self.calls if call.answered <= self.struck)

    def stall_s(self, calls: Sequence[Call] | None = None) -> float:
        """By how much the longest wait for an answer was longer than usual."""
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

    def summary(self, problems: Sequence[str]) -> dict[str, object]:
        """What the clients saw, in one line."""
        return {
            "name": self.name,
            "calls": len(self.calls),
            "failures": self.failures(),
            "usual_wait_s": round(self.usual_wait_s, 2),
            "stall_s": round(self.stall_s(), 2),
            "recovery_s": round(self.recovery_s, 2),
            "violations": list(problems),
        }


def save_history(calls: Sequence[Call], name: str, directory: Path) -> Path:
    """Write a history, as its calls and in Jepsen's form, where `$FAULT_HISTORIES` says or else to `directory`."""
    chosen = Path(os.environ.get(HISTORIES) or directory)
    chosen.mkdir(parents=True, exist_ok=True)
    write_json(calls, chosen / f"{name}.calls.jsonl")
    path = chosen / f"{name}.json"
    jepsen.write(calls, path)
    return path


class Scenario:
    """Runs load on one cluster; each with keys of its own, so that every history begins empty."""

    def __init__(self, name: str, cluster: Cluster, directory: Path, *, keys: int = 20) -> None:
        self.name = name
        self.cluster = cluster
        self.keys = [f"{name}/{number}" for number in range(keys)]
        self._directory = directory

    def run(
        self,
        fault: Fault,
        *,
        before: int = 100,
        after: int = 150,
        clients: int = 8,
        mix: Mix | None = None,
        keys: Sequence[str] | None = None,
        token: str | None = None,
        base_url: str | None = None,
        other_urls: Sequence[str] = (),
        skew_s: float = SKEW_S,
        refusals: bool = False,
        garbled: bool = False,
        http_timeout_s: float = HTTP_TIMEOUT_S,
        late_s: float = LATE_S,
    ) -> Run:
        """Run `fault` under load and check everything that must hold whatever the fault is.

        `before` and `after` count the calls that must succeed before the fault and after it, `late_s` is how long
        after its deadline an answer may come, and the others are as `Load` takes them.
        """
        cluster = self.cluster

        async def run() -> Run:
            load = Load(
                base_url or cluster.base_url,
                token or login(cluster.base_url, cluster.admin_user, cluster.admin_password),
                keys or self.keys,
                clients=clients,
                mix=mix,
                other_urls=other_urls,
                skew_s=skew_s,
                refusals=refusals,
                garbled=garbled,
                http_timeout_s=http_timeout_s,
            )
            async with load:
                await load.good(before)
                struck = time.monotonic()
                await fault(load)
                healed = time.monotonic()
                await load.good(after)
                await load.stop()
            return Run(self.name, load.calls, struck, healed, late_s)

        finished = asyncio.run(run())
        self._check(finished)
        return finished

    def _check(self, run: Run) -> None:
        problems = [
            *map(str, breaches(run.calls)),
            *self._not_linearizable(run),
            *self._late(run),
            *self._applied_twice(),
        ]
        if path := os.environ.get(REPORT):
            with Path(path).open("a") as report:
                report.write(json.dumps(run.summary(problems)) + "\n")
        if not problems and HISTORIES not in os.environ:
            return
        history = save_history(run.calls, run.name, self._directory)
        assert not problems, f"{len(problems)} violations, the history is in {history}\n" + "\n".join(problems[:10])

    def _not_linearizable(self, run: Run) -> Iterator[str]:
        for key, violation in linearizability.check_all(operations(run.calls)).items():
            yield f"{key} is not linearizable: {violation}"

    def _late(self, run: Run) -> Iterator[str]:
        """Answers long after the deadline."""
        for call in run.calls:
            if call.longest_s > DEADLINE_S + run.late_s + run.usual_wait_s:
                yield f"answered after {call.longest_s:.2f} s: {call}"

    def _applied_twice(self) -> Iterator[str]:
        counts = [applications(self.cluster, shard.name) for shard in self.cluster.config.shards]
        if not sum(chunks for chunks, _ in counts):
            yield "the shards do not count what they apply"
        for shard, (_, most) in zip(self.cluster.config.shards, counts, strict=True):
            if most > 1:
                yield f"shard {shard.name} applied a chunk {most} times"
