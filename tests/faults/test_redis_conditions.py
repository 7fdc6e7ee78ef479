"""Redis runs but cannot serve, under load: it pauses, rejects commands, has lost its data, or is not the leader."""

import time
from collections.abc import Callable

import httpx
import pytest

from tests.faults.answers import DEADLINE_S
from tests.faults.injection import Injection, injected
from tests.faults.injections_failover import Demoted, FailedOver, Loading
from tests.faults.injections_redis import Busy, ConnectionsKilled, OutOfMemory, Paused, ReadOnly
from tests.faults.limits import felt_at_most
from tests.faults.load import Load, login
from tests.faults.network import CUT
from tests.faults.networked import Networked
from tests.faults.scenario import Scenario

RECOVERY_S = felt_at_most(3.0)
LOGIN_S = felt_at_most(DEADLINE_S + 5.0)
"""The longest time of a login: looking the account up until the deadline, counting, and hashing the password."""

MakeInjection = Callable[[Networked], Injection]


@pytest.mark.parametrize("condition", [OutOfMemory(), ReadOnly(), Busy()], ids=lambda condition: condition.name)
def test_requests_are_refused_while_redis_refuses_commands_and_served_afterwards(
    networked_scenario: Scenario, condition: Injection
) -> None:
    networked_scenario.name = condition.name

    async def fault(load: Load) -> None:
        async with injected(condition, networked_scenario.cluster):
            await load.until(lambda call: not call.succeeded, calls=8)

    run = networked_scenario.run(fault)
    assert run.failures().keys() <= {"503", "504"}
    assert run.recovery_s < RECOVERY_S


def test_no_request_with_enough_time_fails_during_a_pause_of_redis(networked_scenario: Scenario) -> None:
    networked_scenario.name = Paused.name

    async def fault(_: Load) -> None:
        async with injected(Paused(seconds=2.5), networked_scenario.cluster):
            pass

    run = networked_scenario.run(fault)
    assert run.failures() == {}
    assert run.recovery_s < RECOVERY_S


@pytest.mark.long
def test_requests_are_answered_even_if_redis_pauses_past_their_deadlines(networked_scenario: Scenario) -> None:
    networked_scenario.name = f"{Paused.name}-long"

    async def fault(_: Load) -> None:
        async with injected(Paused(seconds=8), networked_scenario.cluster):
            pass

    run = networked_scenario.run(fault)
    assert run.failures().keys() <= {"503", "504"}
    assert run.recovery_s < RECOVERY_S


@pytest.mark.parametrize("client", ["worker", pytest.param("api-send", marks=pytest.mark.long)])
def test_no_request_fails_when_connections_are_killed_repeatedly(networked_scenario: Scenario, client: str) -> None:
    killer = ConnectionsKilled(client)
    networked_scenario.name = killer.name

    async def fault(load: Load) -> None:
        async with injected(killer, networked_scenario.cluster):
            await load.good(100)

    run = networked_scenario.run(fault)
    assert killer.killed > 2
    assert run.failures() == {}


def test_no_change_is_lost_or_doubled_by_a_replica_without_the_last_second(
    networked_scenario: Scenario, networked: Networked
) -> None:
    networked_scenario.name = FailedOver.name

    async def fault(load: Load) -> None:
        async with injected(FailedOver(networked.network), networked_scenario.cluster):
            await load.good(100)

    run = networked_scenario.run(fault)
    assert run.failures() == {}
    assert run.recovery_s < RECOVERY_S


@pytest.mark.parametrize("cut_off", [True, pytest.param(False, marks=pytest.mark.long)], ids=["cut off", "replicating"])
def test_clients_of_a_demoted_leader_find_the_new_one(
    networked_scenario: Scenario, networked: Networked, *, cut_off: bool
) -> None:
    demoted = Demoted(networked.network, cut_off=cut_off)
    networked_scenario.name = demoted.name

    async def fault(load: Load) -> None:
        async with injected(demoted, networked_scenario.cluster):
            await load.good(100)

    run = networked_scenario.run(fault)
    assert run.failures().keys() <= {"503"}
    assert run.recovery_s < RECOVERY_S


def test_requests_wait_for_a_redis_that_loads_its_data(networked_scenario: Scenario, networked: Networked) -> None:
    networked_scenario.name = Loading.name

    async def fault(load: Load) -> None:
        async with injected(Loading(networked.network, seconds=3), networked_scenario.cluster):
            await load.good(50)

    run = networked_scenario.run(fault)
    assert run.failures().keys() <= {"503"}
    assert run.recovery_s < RECOVERY_S


def test_a_login_gets_503_while_redis_is_down_and_succeeds_afterwards(
    networked_scenario: Scenario, networked: Networked
) -> None:
    cluster, link = networked_scenario.cluster, networked.network.api_redis
    body = {"username": cluster.admin_user, "password": cluster.admin_password}
    for _ in range(3):
        assert login(cluster.base_url, cluster.admin_user, cluster.admin_password)
        link.set(CUT)
        answer = httpx.post(f"{cluster.base_url}/api/login", json=body, trust_env=False, timeout=20)
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) >= 1
        link.heal()


@pytest.mark.parametrize(
    "make",
    [lambda _: OutOfMemory(), lambda _: ReadOnly(), lambda _: Busy(), lambda n: Loading(n.network, seconds=1)],
    ids=["out of memory", "read-only", "busy", "loading"],
)
def test_a_login_that_redis_cannot_count_gets_503(
    networked_scenario: Scenario, networked: Networked, make: MakeInjection
) -> None:
    cluster = networked_scenario.cluster
    condition = make(networked)

    def status(password: str) -> int:
        began = time.monotonic()
        body = {"username": cluster.admin_user, "password": password}
        answer = httpx.post(f"{cluster.base_url}/api/login", json=body, trust_env=False, timeout=20)
        assert time.monotonic() - began < LOGIN_S
        return answer.status_code

    try:
        condition.start(cluster)
        assert status(cluster.admin_password) in {200, 503}
        assert status("wrong password") in {401, 503}
    finally:
        condition.stop(cluster)
    assert login(cluster.base_url, cluster.admin_user, cluster.admin_password)
