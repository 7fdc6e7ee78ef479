"""A shard runs out of disk or memory under load: it refuses changes, keeps its data, and recovers later."""

import pytest

from tests.faults.asking import Mix
from tests.faults.console import keys_of
from tests.faults.history import Action
from tests.faults.injection import Injection, injected
from tests.faults.injections_shards import DiskFull, MemoryFull
from tests.faults.limits import felt_at_most
from tests.faults.load import Load
from tests.faults.scenario import Scenario
from tests.faults.small_disk import Filled, MountError, small_disk
from tests.faults.verdict import Run

REFUSED = 12
RECOVERY_S = felt_at_most(4.0)


@pytest.mark.parametrize("injection", [DiskFull("s1"), MemoryFull("s1")], ids=lambda injection: injection.name)
def test_a_full_shard_refuses_changes_and_serves_reads_until_there_is_room(
    scenario: Scenario, injection: Injection
) -> None:
    cluster = scenario.cluster
    full = set(keys_of(cluster, "s1", scenario.name, 8))
    others = [key for shard in ("s2", "s3") for key in keys_of(cluster, shard, scenario.name, 6)]

    async def fault(load: Load) -> None:
        async with injected(injection, cluster):
            await load.until_tried(lambda call: call.answers[-1] == "500", REFUSED)

    # Keys one by one, so that each call concerns one shard; the claim of an Idempotency-Key may stand on any.
    run = scenario.run(fault, mix=Mix(batches=0, keyed=0), keys=[*full, *others], refusals=True)
    mine = [call for call in run.calls if call.keys[0] in full and len(call.keys) == 1]
    theirs = [call for call in run.calls if call.keys[0] not in full]
    assert run.failures(theirs) == {}
    assert run.failures([call for call in mine if call.action is Action.READ]) == {}
    assert {"500"} <= run.failures(mine).keys() <= {"500", "504"}
    assert run.recovery_s < RECOVERY_S


def check_refusals(run: Run) -> None:
    """A refusal is final if no other copy of the change can exist. A retry has another copy: its first attempt."""
    assert run.failures([call for call in run.calls if not call.idempotency_key]).keys() == {"500"}
    assert run.failures().keys() <= {"500", "504"}
    assert [str(call) for call in run.calls if call.idempotency_key and not call.succeeded] == []


async def refusals(load: Load) -> None:
    """Wait for some answers 500. Clients that retry under a key get 504 at the deadline, so that 500 becomes rare."""
    await load.until_tried(lambda call: call.answers[-1] == "500" and not call.idempotency_key, 1)
    await load.until_tried(lambda call: call.answers[-1] in {"500", "504"}, REFUSED)


@pytest.mark.parametrize("injection", [DiskFull("s2"), MemoryFull("s2")], ids=lambda injection: injection.name)
def test_retries_succeed_when_a_full_shard_has_room_again(scenario: Scenario, injection: Injection) -> None:
    """Batches go to all shards, and some of the claims of their keys are on the full shard."""

    async def fault(load: Load) -> None:
        async with injected(injection, scenario.cluster):
            await refusals(load)

    run = scenario.run(fault, mix=Mix(batches=0.7, keyed=0.6), refusals=True, clients=16)
    check_refusals(run)


@pytest.mark.long
def test_a_shard_on_a_really_full_disk_loses_nothing_and_accepts_changes_when_there_is_room(scenario: Scenario) -> None:
    """Tarantool reserves room for its log in advance, and notices the full disk only when that is used up."""

    async def fault(load: Load) -> None:
        async with injected(Filled(directory), scenario.cluster):
            await refusals(load)

    try:
        with small_disk(scenario.cluster, "s3") as directory:
            run = scenario.run(fault, mix=Mix(batches=0.5, keyed=0.5), refusals=True, clients=16)
    except MountError as error:
        pytest.skip(f"needs the right to mount: {error}")
    check_refusals(run)
