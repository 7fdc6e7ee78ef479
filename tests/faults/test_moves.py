"""Buckets move between shards and back under load: no change is lost or applied twice, no read is stale, and no
request fails.
"""

import asyncio
import time
from collections.abc import Iterator

import httpx
import pytest

from tests.contract.calls import Api, obtain_token
from tests.faults.asking import Mix
from tests.faults.console import keys_of
from tests.faults.copies import copies
from tests.faults.doublings import SHARD, doublings
from tests.faults.limits import felt_at_most
from tests.faults.load import Load
from tests.faults.mover import Mover, mover, wandering_beside
from tests.faults.networked import Networked
from tests.faults.scenario import Scenario

MOVES = 40
COPIES = 400
LONGEST_STALL_S = felt_at_most(1.0)

OTHER = "s2"
CLIENTS = 10
KEYS = 60
MIX = Mix(write=0.35, read=0.5, delete=0.15, batches=0.1, keyed=0.0)
"""Few changes and many keys: a late change is read before it is replaced."""

DOUBLINGS = ["frozen-worker", "sent-again", "redis-emptied", "slow-link", "killed-worker", "old-frames"]
SHORT = {"sent-again"}


@pytest.fixture
def moved(scenario: Scenario) -> Iterator[Mover]:
    with mover(scenario.cluster) as made:
        yield made


@pytest.fixture
def client(scenario: Scenario) -> Iterator[Api]:
    cluster = scenario.cluster
    with Api(cluster.base_url, obtain_token(cluster.base_url, cluster.admin_user, cluster.admin_password)) as api:
        yield api


def test_no_request_fails_when_buckets_move_and_return(scenario: Scenario, moved: Mover) -> None:
    async def fault(load: Load) -> None:
        async with wandering_beside(moved, moved.buckets(scenario.keys)):
            while moved.moves < MOVES:
                await load.good(10)

    run = scenario.run(fault, before=50, after=50)
    assert run.failures() == {}
    assert run.stall_s() < LONGEST_STALL_S


def test_frames_that_are_delivered_twice_while_buckets_move_change_nothing_twice(
    scenario: Scenario, moved: Mover
) -> None:
    """Each second delivery is answered from a record, even of a refusal: its keys were sent again under other ids."""

    async def fault(load: Load) -> None:
        with copies(scenario.cluster) as made:
            async with wandering_beside(moved, moved.buckets(scenario.keys)):
                while moved.moves < MOVES or made.made < COPIES:
                    await load.good(10)

    run = scenario.run(fault, before=20, after=20)
    assert run.failures() == {}


@pytest.mark.parametrize(
    "doubling", [pytest.param(name, marks=[] if name in SHORT else [pytest.mark.long]) for name in DOUBLINGS]
)
def test_a_change_that_was_refused_for_its_bucket_is_not_applied_when_the_bucket_returns(
    networked_scenario: Scenario, networked: Networked, doubling: str
) -> None:
    """A worker holds one copy all the time. The shard refuses the other one, and the client's next change succeeds."""
    scenario, cluster = networked_scenario, networked_scenario.cluster
    scenario.name = f"moved-{doubling}"
    fault_of_copies = doublings(networked.network)[doubling]
    keys = keys_of(cluster, SHARD, scenario.name, KEYS)
    with mover(cluster) as moved:

        async def fault(load: Load) -> None:
            try:
                await asyncio.to_thread(fault_of_copies.begin, cluster)
                await asyncio.to_thread(moved.move, moved.buckets(keys), OTHER)
                answered = asyncio.create_task(load.every_client_answered())
                await asyncio.to_thread(fault_of_copies.while_refused, cluster)
                await answered
                await load.good(KEYS)
                await asyncio.to_thread(moved.home)
                await asyncio.to_thread(fault_of_copies.release, cluster)
                await load.good(KEYS)
            finally:
                await asyncio.to_thread(fault_of_copies.end, cluster)

        run = scenario.run(fault, before=30, after=60, clients=CLIENTS, mix=MIX, keys=keys)
    assert run.failures().keys() <= {"503", "504"}


def test_a_moving_bucket_delays_no_other_key_and_requests_wait_for_it(
    scenario: Scenario, moved: Mover, client: Api
) -> None:
    (moving,), (staying,) = (keys_of(scenario.cluster, SHARD, f"{scenario.name}-{part}", 1) for part in "ab")
    buckets = moved.buckets([moving])
    client.write({moving: 1, staying: 1})
    moved.depart(buckets, OTHER)
    assert client.read(moving, staying) == {moving: 1, staying: 1}, "it is read on the old shard"
    client.write({staying: 2})
    began = time.monotonic()
    answer = client.ask("write", {"data": {moving: 3, staying: 3}})
    assert answer.status_code == 503
    assert answer.json()["failed"] == {moving: "not_applied"}
    # On a busy machine the last retry may be too late.
    assert [reason["code"] for reason in answer.json()["reasons"]] in (["bucket_moved"], ["deadline_passed"])
    assert 4.5 < time.monotonic() - began < felt_at_most(6)
    moved.arrive(buckets, SHARD, OTHER)
    assert client.read(moving, staying) == {moving: 1, staying: 3}
    client.write({moving: 4})
    assert moved.step(OTHER, "holds", moving)
    assert not moved.step(SHARD, "holds", moving)


def test_if_a_shard_does_not_know_where_a_bucket_is_all_shards_are_asked(
    scenario: Scenario, moved: Mover, client: Api
) -> None:
    (key,) = keys_of(scenario.cluster, SHARD, scenario.name, 1)
    client.write({key: 1})
    buckets = moved.buckets([key])
    moved.move(buckets, OTHER)
    moved.step(SHARD, "forget", buckets)
    assert client.read(key) == {key: 1}


def test_a_claim_moves_with_its_bucket(scenario: Scenario, moved: Mover, client: Api) -> None:
    """The first outcome is reported again, even by the shard to which the claim has moved."""
    (claimed,) = keys_of(scenario.cluster, SHARD, f"{scenario.name}-claim", 1)
    (counter,) = keys_of(scenario.cluster, "s3", f"{scenario.name}-counter", 1)

    def increment() -> httpx.Response:
        return client.ask("increment", {"data": {counter: 1}}, **{"Idempotency-Key": claimed})

    assert increment().json() == {"data": {counter: 1}}
    for target in (OTHER, "s3", SHARD):
        moved.move(moved.buckets([claimed]), target)
        assert increment().json() == {"data": {counter: 1}}
        assert client.ask("increment", {"data": {"x": 1}}, **{"Idempotency-Key": claimed}).status_code == 422


def test_an_account_whose_two_buckets_are_on_one_shard_can_move_again(scenario: Scenario, moved: Mover) -> None:
    """A revoked token stays revoked, and the user can log in, wherever the records are."""
    cluster = scenario.cluster
    (home,) = moved.buckets([cluster.admin_user])
    mirror = (home - 1 + moved.bucket_count // 2) % moved.bucket_count + 1

    def log_in() -> Api:
        return Api(cluster.base_url, obtain_token(cluster.base_url, cluster.admin_user, cluster.admin_password))

    def records(shard: str) -> list[int]:
        """How many records of the account and of its revoked tokens a shard has."""
        return list(moved.step(shard, "records", cluster.admin_user))

    with log_in() as first:
        assert first.post("logout").status_code in (200, 204)
    meeting, beyond = moved.place(mirror), _next(moved, mirror)
    users, revoked = (sum(counts) for counts in zip(*map(records, moved.shards), strict=True))
    assert users == 2
    moved.move([home], meeting)
    assert records(meeting) == [users, revoked]
    log_in().http.close()
    moved.move([mirror], beyond)
    assert records(meeting) == [users // 2, revoked // 2]
    assert records(beyond) == [users // 2, revoked // 2]
    log_in().http.close()


def _next(moved: Mover, bucket: int) -> str:
    return next(shard for shard in moved.shards if shard != moved.place(bucket))
