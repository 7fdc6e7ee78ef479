"""`make chaos`: a cluster under mixed load, with random faults, single and combined, for a given number of minutes.

The schedule follows from seed and length and is printed first. Each strike is an epoch with keys of its own, so that
memory and the check's effort do not grow with the run. The checker checks its history when the next epoch is over,
after one more read of its keys: that read shows late effects.

Exit code 1, and the histories in a directory, if a promise was broken or the system did not recover by itself.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import SystemRandom

import jwt

from localcluster.cluster import Cluster, ClusterError
from tests.faults.answers import DEADLINE_S
from tests.faults.catalogue import FAULTS, Stage
from tests.faults.catalogue import SKEW_S as CLOCK_OFF_S
from tests.faults.clocks import ProcessClock
from tests.faults.console import clocks_off_s
from tests.faults.load import Load, login
from tests.faults.networked import Networked, networked_cluster
from tests.faults.operations import operations
from tests.faults.scenario import report, save_history
from tests.faults.schedule import Strike, schedule
from tests.faults.verdict import Run, applied_twice, violations
from tests.integration.processes import ApiProcess

KEYS = 16
CLIENTS = 8

RECOVERY_S = 30.0
"""How long that may take, and how long until every program runs again."""

LATE_S = 3.0
"""How long after its deadline an answer may come, on a machine on which much is being started."""

TOKEN_TTL_S = 7 * 24 * 3600


@dataclass(frozen=True)
class Pace:
    """The load of an epoch."""

    before: int = 60
    after: int = 100
    """Calls that must succeed before the faults of an epoch and after them."""
    pause_s: float = 0.0
    """The pause between two calls of a client."""
    deadline_s: float = DEADLINE_S
    """The cluster's TARANTKV_REQUEST_TIMEOUT_S."""


FULL_LOAD = Pace()


class ChaosError(Exception):
    """A run failed. `over` is the number of strikes that need not be repeated."""

    def __init__(self, text: str, over: int) -> None:
        super().__init__(text)
        self.over = over


@dataclass
class Totals:
    """The totals of all epochs so far."""

    strikes: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    calls: int = 0
    operations: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    stall_s: float = 0.0
    recovery_s: float = 0.0


class Chaos:
    """One run."""

    def __init__(self, stage: Stage, urls: Sequence[str], seed: int, directory: Path, pace: Pace = FULL_LOAD) -> None:
        self.totals = Totals()
        self._pace = pace
        self._stage = stage
        self._urls = urls
        self._seed = seed
        self._directory = directory
        self._token = lasting_token(stage.cluster)
        self._unchecked: Run | None = None

    async def run(self, strikes: Sequence[Strike]) -> None:
        """Make every strike in turn.

        Raises:
            ChaosError: a promise was broken, or the system did not recover.
        """
        began = time.monotonic()
        for number, strike in enumerate(strikes, start=1):
            run = await self._epoch(number, strike, began)
            await self._check_last()
            self._unchecked = run
            self._count(strike, run)
            say(f"{number:4}  {' + '.join(strike.faults)}: {described(run)}")
        await self._check_last()
        if twice := list(applied_twice(self._stage.cluster)):
            raise ChaosError("\n".join(twice), len(strikes))

    async def _epoch(self, number: int, strike: Strike, began: float) -> Run:
        keys = [f"chaos/{self._seed}/{number}/{key}" for key in range(KEYS)]
        touched = frozenset().union(*(FAULTS[fault].touches for fault in strike.faults))
        steps = any(name.startswith("shard-s3-clock") for name in strike.faults)
        load = self._load(keys, CLIENTS, number, CLOCK_OFF_S if steps else 0.0)
        name = f"chaos-{self._seed}-{number}"
        try:
            async with load:
                await asyncio.wait_for(load.good(self._pace.before), RECOVERY_S)
                await _hold(load, began + strike.at_s - time.monotonic())
                struck = time.monotonic()
                await self._strike(strike, load)
                healed = time.monotonic()
                await asyncio.wait_for(load.good(self._pace.after), RECOVERY_S)
                await load.stop()
            await self._all_running()
        except (AssertionError, TimeoutError, ClusterError, OSError) as error:
            path = save_history(load.calls, name, self._directory)
            what = "the system did not recover" if isinstance(error, TimeoutError) else str(error)
            text = f"epoch {number}, {' + '.join(strike.faults)}: {what}; its history is {path}"
            raise ChaosError(text, number) from error
        late_s = float("inf") if touched & {"api", "client-api", "api-clock"} else LATE_S
        return Run(name, load.calls, struck, healed, late_s, self._pace.deadline_s)

    async def _strike(self, strike: Strike, load: Load) -> None:
        """Inject all faults, wait, and end them in the opposite order."""
        cluster = self._stage.cluster
        injections = [FAULTS[name].make(self._stage) for name in strike.faults]
        started = []
        try:
            for injection in injections:
                started.append(injection)
                await asyncio.to_thread(injection.start, cluster)
            await _hold(load, strike.hold_s)
        finally:
            for injection in reversed(started):
                await asyncio.to_thread(injection.stop, cluster)

    async def _all_running(self) -> None:
        end = time.monotonic() + RECOVERY_S
        while not await asyncio.to_thread(self._stage.cluster.is_healthy):
            if time.monotonic() > end:
                raise TimeoutError
            await asyncio.sleep(0.1)

    async def _check_last(self) -> None:
        """Read the keys of the last epoch once more, and check its history."""
        run, self._unchecked = self._unchecked, None
        if run is None:
            return
        again = self._load(run.calls[-1].keys, 0, 0)
        async with again:
            await again.stop()
        whole = replace(run, calls=[*run.calls, *again.calls])
        self.totals.operations += sum(map(len, operations(whole.calls).values()))
        if found := violations(whole):
            path = save_history(whole.calls, run.name, self._directory)
            text = "\n".join([f"{run.name}: {len(found)} violations, the history is {path}", *found[:10]])
            raise ChaosError(text, self.totals.strikes)

    def _load(self, keys: Sequence[str], clients: int, number: int, step_s: float = 0.0) -> Load:
        away_s = clocks_off_s(self._stage.cluster)
        return Load(
            self._urls[0],
            self._token,
            keys,
            clients=clients,
            seed=self._seed + number,
            other_urls=self._urls[1:],
            # Any clock may be wrong; the checks for all clients are a little weaker because of it.
            skew_s=CLOCK_OFF_S + 1.0,
            refusals=True,
            off_s=CLOCK_OFF_S + away_s,
            step_s=max(step_s, away_s),
            pause_s=self._pace.pause_s,
        )

    def _count(self, strike: Strike, run: Run) -> None:
        totals = self.totals
        totals.strikes += 1
        totals.faults.update(strike.faults)
        totals.calls += len(run.calls)
        totals.kinds.update(run.kinds())
        totals.failures.update(run.failures())
        totals.stall_s = max(totals.stall_s, run.stall_s())
        totals.recovery_s = max(totals.recovery_s, run.recovery_s)


async def _hold(load: Load, seconds: float) -> None:
    """Wait, unless a client fails meanwhile."""
    try:
        await asyncio.wait_for(load.until(lambda _: False), max(seconds, 0.0))
    except TimeoutError:
        return


def lasting_token(cluster: Cluster) -> str:
    """A token that lasts longer than the run, issued earlier than the time of any clock that is behind."""
    token = login(cluster.base_url, cluster.admin_user, cluster.admin_password)
    claims = jwt.decode(token, options={"verify_signature": False})
    claims["iat"] -= 2 * CLOCK_OFF_S
    claims["exp"] = int(claims["exp"]) + TOKEN_TTL_S
    return jwt.encode(claims, cluster.settings["TARANTKV_JWT_SECRET"], "HS256")


def described(run: Run) -> str:
    """What the clients saw of an epoch."""
    failures = ", ".join(f"{times} times {answer}" for answer, times in sorted(run.failures().items())) or "no failure"
    return f"{len(run.calls)} calls, {failures}, stall {run.stall_s():.1f} s, recovered in {run.recovery_s:.1f} s"


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def run_on(
    networked: Networked, directory: Path, seed: int, strikes: Sequence[Strike], out: Path, pace: Pace = FULL_LOAD
) -> Totals:
    """Run on a cluster, with a second api process whose clock can be set wrong."""
    clock = ProcessClock(directory / "clock", 0)
    with ApiProcess(networked.cluster, clock.settings) as second:
        stage = Stage(networked.cluster, networked.network, clock)
        chaos = Chaos(stage, [networked.base_url, second.base_url], seed, out, pace)
        asyncio.run(chaos.run(strikes))
        return chaos.totals


def main() -> int:
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, help="of the schedule; random if it is missing")
    parser.add_argument(
        "--out", type=Path, default=Path(".chaos"), help="where histories are written that break a promise"
    )
    parser.add_argument("--schedule", action="store_true", help="print the schedule and end")
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else SystemRandom().randrange(1, 2**32)
    strikes = schedule(seed, options.minutes)
    say(f"seed {seed}: {len(strikes)} strikes in {options.minutes:g} minutes")
    say(f"again: make chaos MINUTES={options.minutes:g} SEED={seed}")
    for number, strike in enumerate(strikes, start=1):
        say(f"{number:4}  at {strike.at_s:7.1f} s for {strike.hold_s:4.1f} s  {' + '.join(strike.faults)}")
    if options.schedule:
        return 0
    say("")
    with tempfile.TemporaryDirectory(prefix="tarant-kv-chaos-") as name:
        directory = Path(name)
        with networked_cluster(directory / "cluster") as networked:
            try:
                totals = run_on(networked, directory, seed, strikes, options.out)
            except ChaosError as error:
                say(f"\nFAILED, seed {seed}: {error}")
                return 1
    say(f"\nno violation: {totals.calls} calls, {totals.operations} operations checked, {totals.faults.total()} faults")
    say(", ".join(f"{times} {kind}" for kind, times in sorted(totals.kinds.items())))
    report(
        {
            "chaos": {
                "seed": seed,
                "minutes": options.minutes,
                "strikes": totals.strikes,
                "faults": totals.faults.total(),
                "kinds": len(totals.faults),
                "calls": totals.calls,
                "by_kind": dict(sorted(totals.kinds.items())),
                "operations": totals.operations,
                "failures": dict(totals.failures),
                "stall_s": round(totals.stall_s, 1),
                "recovery_s": round(totals.recovery_s, 1),
                "runner_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
            }
        }
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
