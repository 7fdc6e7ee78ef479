"""Concurrent changes of users: if two administrators remove each other's rights, at most one succeeds."""

import asyncio
import functools
from collections.abc import Callable, Coroutine, Sequence
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from api.auth.account_rules import ChangedMeanwhileError, LastAdministratorError, NoUserError
from api.auth.accounts import Accounts
from api.queue.errors import StoreCallError
from api.queue.store_calls import StoreCalls
from api.queue.topology import Topology
from protocol.operations import Operation, Status

ALL = ("admin", "read")


def scenario(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    @functools.wraps(test)
    def run(*given: Any, **named: Any) -> None:
        asyncio.run(test(*given, **named))

    return run


class Shard:
    """One shard with all buckets, as `tarantkv.users` keeps records. It refuses changes in some of them."""

    def __init__(self) -> None:
        self.records: dict[tuple[str, int], list[Any]] = {}
        self.refuses: set[int] = set()

    async def call(self, operation: Operation, bucket: int, arguments: Sequence[Any]) -> Any:
        await asyncio.sleep(0)
        name = arguments[0]
        found = self.records.get((name, bucket))
        if operation is Operation.USER_GET:
            return found, False
        assert operation is Operation.USER_PUT
        if bucket in self.refuses:
            raise StoreCallError(Status.UNREACHABLE, "away")
        record = msgspec.to_builtins(arguments[1])
        version = found[3] if found else 0
        if record is None and found is None:
            return None
        if found != record and (
            version != arguments[2] or (record is None and found is not None and found[4] != arguments[3])
        ):
            raise StoreCallError(Status.CONFLICT, "changed")
        if record is None:
            del self.records[name, bucket]
        else:
            self.records[name, bucket] = record
        return None

    async def call_shard(self, _: str, operation: Operation, arguments: Sequence[Any]) -> Any:
        assert operation is Operation.USER_LIST
        await asyncio.sleep(0)
        newest: dict[str, list[Any]] = {}
        for (name, _bucket), record in self.records.items():
            if name > arguments[0] and (name not in newest or newest[name][3] < record[3]):
                newest[name] = record
        return sorted(newest.items())[: arguments[1]]


@pytest.fixture
def shard() -> Shard:
    return Shard()


@pytest.fixture
def accounts(shard: Shard) -> Accounts:
    topology = SimpleNamespace(map=SimpleNamespace(bucket_count=30_000, holders=("s1",)))
    return Accounts(cast("StoreCalls", shard), cast("Topology", topology))


async def made(accounts: Accounts, **scopes: Sequence[str]) -> None:
    for name, of in scopes.items():
        await accounts.create(name, "hash", of)


async def administrators(accounts: Accounts) -> set[str]:
    return {name for name, user in (await accounts.users()).items() if user.administers}


@pytest.mark.parametrize("change", [{"disabled": True}, {"scopes": ["read"]}, None])
@scenario
async def test_the_last_administrator_cannot_be_removed_or_demoted(
    accounts: Accounts, change: dict[str, Any] | None
) -> None:
    await made(accounts, ada=ALL, ben=("read",), eve=ALL)
    await accounts.change("eve", disabled=True, by="ada")

    async def leave(by: str | None) -> None:
        if change is None:
            await accounts.remove("ada", by=by)
        else:
            await accounts.change("ada", **change, by=by)

    with pytest.raises(LastAdministratorError, match="ada is the last"):
        await leave("ada")
    assert await administrators(accounts) == {"ada"}
    assert (await accounts.change("ada", password_hash="new", by="ada")).password_hash == "new"
    await accounts.change("eve", disabled=False, by="ada")
    await leave("ada")
    assert await administrators(accounts) == {"eve"}
    # The local command may do what an administrator may not.
    await accounts.change("eve", disabled=True)
    assert await administrators(accounts) == set()


@pytest.mark.parametrize("ahead", range(12))
@scenario
async def test_two_administrators_cannot_take_each_other_s_rights(accounts: Accounts, ahead: int) -> None:
    """This holds for every number of steps by which one of them is ahead."""
    await made(accounts, ada=ALL, ben=ALL)

    async def later() -> None:
        for _ in range(ahead):
            await asyncio.sleep(0)
        await accounts.change("ada", disabled=True, by="ben")

    await asyncio.gather(accounts.change("ben", disabled=True, by="ada"), later(), return_exceptions=True)
    assert await administrators(accounts)


@scenario
async def test_a_removed_user_may_be_added_again_and_old_tokens_stay_invalid(accounts: Accounts, shard: Shard) -> None:
    await made(accounts, ada=ALL, ben=("read",))
    before = (await accounts.state("ben")).user
    await accounts.remove("ben", by="ada")
    assert (await accounts.state("ben")).user is None
    assert {name for name, _ in shard.records} == {"ada"}
    with pytest.raises(NoUserError):
        await accounts.remove("ben", by="ada")
    await made(accounts, ben=("read",))
    again = (await accounts.state("ben")).user
    assert again is not None
    assert before is not None
    assert again.generation != before.generation, "tokens from before the removal would be valid again"


@scenario
async def test_a_removal_that_failed_half_way_can_be_repeated(accounts: Accounts, shard: Shard) -> None:
    await made(accounts, ben=("read",))
    _, mirror = accounts._buckets("ben")
    shard.refuses = {mirror}
    with pytest.raises(StoreCallError):
        await accounts.remove("ben")
    assert (await accounts.state("ben")).user is not None
    shard.refuses = set()
    await accounts.remove("ben")
    assert shard.records == {}


@scenario
async def test_a_user_that_was_changed_meanwhile_is_not_removed(accounts: Accounts, shard: Shard) -> None:
    await made(accounts, ben=("read",))
    known = accounts._known

    async def changed_since(name: str) -> Any:
        user = await known(name)
        accounts._known = known  # type: ignore[method-assign]
        await accounts.change(name, scopes=["write"])
        return user

    accounts._known = changed_since  # type: ignore[method-assign]
    with pytest.raises(ChangedMeanwhileError):
        await accounts.remove("ben")
    assert {record[1][0] for record in shard.records.values()} == {"write"}


@scenario
async def test_all_users_are_found_page_by_page(accounts: Accounts) -> None:
    names = [f"u{number:02}" for number in range(25)]
    for name in names:
        await accounts.create(name, "hash", ["read"])
    found: list[str] = []
    more = True
    while more:
        page, more = await accounts.page(found[-1] if found else "", 10)
        found += page
    assert found == names
