"""Clocks are wrong by half a minute, the most that the settings allow: requests may fail, but every promise is kept."""

import asyncio
import time
from pathlib import Path

import jwt
import pytest

from localcluster.cluster import Cluster
from tests.faults.asking import Mix
from tests.faults.clocks import ProcessClock
from tests.faults.console import keys_of
from tests.faults.injection import injected
from tests.faults.injections_processes import Frozen
from tests.faults.injections_shards import ShardClock, settle_clock
from tests.faults.load import Load, login
from tests.faults.scenario import Scenario
from tests.integration.processes import ApiProcess

SKEW_S = 30
CALLS = 100
WAITING_S = 1.0


@pytest.mark.parametrize("offset_s", [SKEW_S, -SKEW_S])
def test_a_shard_whose_clock_is_wrong_breaks_no_promise_and_does_not_affect_other_shards(
    scenario: Scenario, offset_s: int
) -> None:
    cluster = scenario.cluster
    own = set(keys_of(cluster, "s2", scenario.name, 6))
    others = [key for shard in ("s1", "s3") for key in keys_of(cluster, shard, scenario.name, 6)]

    async def fault(load: Load) -> None:
        async with injected(ShardClock("s2", offset_s), cluster):
            # A shard whose clock is ahead rejects every chunk as too late: its keys fail.
            await load.until(lambda call: call.keys[0] in own and call.succeeded == (offset_s < 0), calls=CALLS // 2)
            await load.good(CALLS)

    # Keys one by one, so that each call concerns one shard; the claim of an Idempotency-Key may stand on any.
    run = scenario.run(
        fault, mix=Mix(batches=0, keyed=0), keys=[*own, *others], skew_s=SKEW_S, off_s=SKEW_S, step_s=SKEW_S
    )
    settle_clock(cluster, "s2")
    theirs = [call for call in run.calls if call.keys[0] not in own]
    assert run.failures(theirs) == {}
    assert run.failures().keys() == ({"503"} if offset_s > 0 else set())


def test_an_api_process_whose_clock_is_ahead_breaks_no_promise_and_fails_no_request(
    scenario: Scenario, tmp_path: Path
) -> None:
    clock = ProcessClock(tmp_path / "clock", SKEW_S)
    ahead_s = 0.0

    with ApiProcess(scenario.cluster, clock.settings) as api:

        async def fault(load: Load) -> None:
            nonlocal ahead_s
            async with injected(clock, scenario.cluster):
                ahead_s = issued_at(await asyncio.to_thread(new_token, scenario.cluster, api.base_url)) - time.time()
                await load.good(CALLS)

        run = scenario.run(fault, other_urls=[api.base_url], skew_s=SKEW_S)
    assert SKEW_S - 1 < ahead_s < SKEW_S + 1
    assert run.failures() == {}


@pytest.mark.long
def test_an_api_process_whose_clock_is_behind_breaks_no_promise_and_fails_no_request_of_others(
    scenario: Scenario, tmp_path: Path
) -> None:
    """For the shards the deadline of its requests has passed before they are sent."""
    cluster = scenario.cluster
    clock = ProcessClock(tmp_path / "clock", -SKEW_S)

    with ApiProcess(cluster, clock.settings) as api:

        async def fault(load: Load) -> None:
            async with injected(clock, cluster):
                await load.until_tried(lambda call: call.answers[-1] == "503", CALLS // 4)
                await load.good(CALLS)

        # For a clock that is behind, a token from the right time is not yet valid: the leeway is shorter.
        token = new_token(cluster, cluster.base_url, issued_s_ago=SKEW_S)
        run = scenario.run(fault, other_urls=[api.base_url], skew_s=SKEW_S, token=token)
    assert run.failures().keys() == {"503"}
    # Attempts use the two apis in turn.
    assert all(call.answers[-2:-1] in ([], ["503"]) and call.succeeded for call in run.calls if call.idempotency_key)


def test_no_client_waits_past_the_deadline_because_a_clock_is_set_back(scenario: Scenario, tmp_path: Path) -> None:
    """Requests without an answer got their deadlines before the clock was corrected."""
    cluster = scenario.cluster
    clock = ProcessClock(tmp_path / "clock", SKEW_S)

    with ApiProcess(cluster, clock.settings) as api:

        async def fault(load: Load) -> None:
            async with injected(Frozen("shard-s2"), cluster):
                async with injected(clock, cluster):
                    # Until each client waits for the frozen shard.
                    await load.every_client_waiting(WAITING_S)
                await load.every_client_answered()

        run = scenario.run(fault, other_urls=[api.base_url], skew_s=SKEW_S)
    assert run.failures().keys() <= {"503", "504"}


def new_token(cluster: Cluster, base_url: str, issued_s_ago: float = 0.0) -> str:
    """A token of the administrator, with another time of issue if so asked."""
    token = login(base_url, cluster.admin_user, cluster.admin_password)
    claims = jwt.decode(token, options={"verify_signature": False})
    claims["iat"] -= issued_s_ago
    return jwt.encode(claims, cluster.settings["TARANTKV_JWT_SECRET"], "HS256")


def issued_at(token: str) -> float:
    """When a token was issued, by the clock of its issuer."""
    return float(jwt.decode(token, options={"verify_signature": False})["iat"])
