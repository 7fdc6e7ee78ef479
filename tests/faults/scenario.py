"""A run: load before, during and after a fault, then all checks of the clients' answers."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from weakref import WeakKeyDictionary

from localcluster.cluster import Cluster
from tests.faults import jepsen
from tests.faults.asking import Mix
from tests.faults.console import clocks_off_s
from tests.faults.history import Call, write_json
from tests.faults.load import HTTP_TIMEOUT_S, SKEW_S, Load, login
from tests.faults.verdict import LATE_S, Run, applied_twice, violations

REPORT = "FAULT_REPORT"
"""A file named by this variable gets one JSON object for each run."""

HISTORIES = "FAULT_HISTORIES"
"""A directory named by this variable gets the history of each run, in Jepsen's form."""

PAUSE_S = 0.01
"""The pause between two calls of a client. Without it the clients would use most of the processors' time."""

Fault = Callable[[Load], Awaitable[None]]

_TOKENS: WeakKeyDictionary[Cluster, str] = WeakKeyDictionary()
"""One token for all runs of a cluster, because a login takes a quarter of a second of the api's CPU time."""


def _token(cluster: Cluster) -> str:
    if cluster not in _TOKENS:
        _TOKENS[cluster] = login(cluster.base_url, cluster.admin_user, cluster.admin_password)
    return _TOKENS[cluster]


def report(result: Mapping[str, object]) -> None:
    """Add a line to the file that `$FAULT_REPORT` names."""
    if path := os.environ.get(REPORT):
        with Path(path).open("a") as file:
            file.write(json.dumps(result) + "\n")


def save_history(calls: Sequence[Call], name: str, directory: Path) -> Path:
    """Write a history, as calls and in Jepsen's form, to the directory in `$FAULT_HISTORIES` or else to `directory`."""
    chosen = Path(os.environ.get(HISTORIES) or directory)
    chosen.mkdir(parents=True, exist_ok=True)
    write_json(calls, chosen / f"{name}.calls.jsonl")
    path = chosen / f"{name}.json"
    jepsen.write(calls, path)
    return path


class Scenario:
    """Runs load on one cluster. Each run has its own keys, so that every history begins empty."""

    def __init__(self, name: str, cluster: Cluster, directory: Path, *, keys: int = 20) -> None:
        self.name = name
        self.cluster = cluster
        self.keys = [f"{name}/{number}" for number in range(keys)]
        self._directory = directory

    def run(
        self,
        fault: Fault,
        *,
        before: int = 60,
        after: int = 80,
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
        off_s: float = 0.0,
        step_s: float = 0.0,
    ) -> Run:
        """Run `fault` under load, and check everything that must hold whatever the fault is.

        `before` and `after` count the calls that must succeed before the fault and after it, `late_s` is how long
        after its deadline an answer may come, and the others are as `Load` takes them. `off_s` counts beyond what the
        clocks of shards are off already; while those come right, expiries may move by as much.
        """
        cluster = self.cluster
        away_s = clocks_off_s(cluster)

        async def run() -> Run:
            load = Load(
                base_url or cluster.base_url,
                token or _token(cluster),
                keys or self.keys,
                clients=clients,
                mix=mix,
                other_urls=other_urls,
                skew_s=skew_s,
                refusals=refusals,
                garbled=garbled,
                http_timeout_s=http_timeout_s,
                off_s=off_s + away_s,
                step_s=max(step_s, away_s),
                pause_s=PAUSE_S,
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
        problems = [*violations(run), *applied_twice(self.cluster)]
        # In pytest's form: `tests/faults/test_shards.py::test_… (call)`.
        where = os.environ.get("PYTEST_CURRENT_TEST", "").partition("::")[0]
        report({"file": Path(where).stem, **run.summary(problems)})
        if not problems and HISTORIES not in os.environ:
            return
        history = save_history(run.calls, run.name, self._directory)
        assert not problems, f"{len(problems)} violations, the history is in {history}\n" + "\n".join(problems[:10])
