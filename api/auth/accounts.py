"""Users and revoked tokens: reads and changes their records in the store.

A user's record is on two shards: in the bucket of the name, and in its mirror, half the buckets away. So one dead shard
does not keep its users from the others. A change is acknowledged when both shards have it. A look-up asks both, and the
record with the newest version counts.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Iterable
from typing import Any

import msgspec

from api.auth.account_rules import (
    ADMIN,
    ChangedMeanwhileError,
    LastAdministratorError,
    NoUserError,
    UserExistsError,
    check_name,
    check_scopes,
)
from api.queue.errors import StoreCallError
from api.queue.store_calls import StoreCalls
from api.queue.topology import Topology
from protocol.buckets import bucket_of
from protocol.operations import Operation, Status

SECOND_ANSWER_S = 0.5
"""How long a look-up waits for the second answer after the first."""

LIST_PAGE = 500


class User(msgspec.Struct, frozen=True, array_like=True):
    """A user's record. `generation` changes with the password: tokens of an earlier generation are void."""

    password_hash: str
    scopes: list[str]
    disabled: bool
    version: int
    generation: int | float

    @property
    def administers(self) -> bool:
        """Whether this user may administer users."""
        return ADMIN in self.scopes and not self.disabled


class AccountState(msgspec.Struct, frozen=True):
    """The answer of a look-up: the user's record (None: no such user), and whether the token is revoked."""

    user: User | None
    revoked: bool


def new_generation() -> int:
    """A generation that no password had before: a user may be created with the name of a removed one.

    It is below 10^14, up to which Lua stores it as a plain number.
    """
    return secrets.randbelow(10**14 - 1) + 1


class Accounts:
    """Looks users up and changes them."""

    def __init__(self, control: StoreCalls, topology: Topology) -> None:
        self._control = control
        self._topology = topology

    def _buckets(self, name: str) -> tuple[int, ...]:
        count = self._topology.map.bucket_count
        home = bucket_of(name.encode(), count)
        mirror = (home - 1 + count // 2) % count + 1
        return (home, mirror) if mirror != home else (home,)

    async def state(self, name: str, token_id: str | None = None) -> AccountState:
        """The state of a user, and of one token.

        Raises:
            StoreCallError: no shard with the user's record could be asked.
        """
        answers = await _first_answers(
            [self._control.call(Operation.USER_GET, bucket, (name, token_id)) for bucket in self._buckets(name)]
        )
        users = [msgspec.convert(record, User, strict=False) for record, _ in answers if record is not None]
        return AccountState(
            user=max(users, key=lambda user: user.version, default=None),
            revoked=any(revoked for _, revoked in answers),
        )

    async def create(self, name: str, password_hash: str, scopes: Iterable[str]) -> None:
        """Create a user.

        Raises:
            AccountError: the name is taken or wrong, or a scope is unknown.
            StoreCallError: a shard did not accept the record.
        """
        check_name(name)
        if (await self.state(name)).user is not None:
            raise UserExistsError(f"user {name} exists already")
        await self._put(
            name, User(password_hash, check_scopes(scopes), disabled=False, version=1, generation=new_generation())
        )

    async def change(
        self,
        name: str,
        *,
        password_hash: str | None = None,
        disabled: bool | None = None,
        scopes: Iterable[str] | None = None,
        by: str | None = None,
    ) -> User:
        """Change a user's password, which voids all earlier tokens, or scopes, or disable or enable the user.

        `by` is the administrator who asks. None: a person on the machine itself, who may lock out all administrators.

        Raises:
            AccountError: there is no such user, another administrator changed the user at the same time, a scope is
                unknown, or the change would leave no user who administers users, and `by` is given.
            StoreCallError: a shard did not accept the record; the same change may be made again.
        """
        user = await self._known(name)
        changed = User(
            password_hash if password_hash is not None else user.password_hash,
            user.scopes if scopes is None else check_scopes(scopes),
            disabled=user.disabled if disabled is None else disabled,
            version=user.version + 1,
            generation=new_generation() if password_hash is not None else user.generation,
        )
        if by is not None and user.administers and not changed.administers:
            await self._keep_another(name, by)
        await self._put(name, changed)
        return changed

    async def remove(self, name: str, *, by: str | None = None) -> None:
        """Remove a user. The user's tokens are void from then on, even if a user with this name is created again.

        Raises:
            AccountError, StoreCallError: as `change`.
        """
        user = await self._known(name)
        if by is not None and user.administers:
            await self._keep_another(name, by)
        for bucket in self._buckets(name):
            record, _ = await self._control.call(Operation.USER_GET, bucket, (name, None))
            if record is None:
                continue
            copy = msgspec.convert(record, User, strict=False)
            if copy.version > user.version:
                raise _changed_meanwhile(name)
            await self._set(name, bucket, None, copy.version, copy.generation)

    async def _known(self, name: str) -> User:
        user = (await self.state(check_name(name))).user
        if user is None:
            raise NoUserError(f"there is no user {name}")
        return user

    async def _keep_another(self, name: str, by: str) -> None:
        """Check that a user other than `name` administers users, and write that user's record again.

        Its new version makes a concurrent change of that user fail: of two administrators who disable each other, at
        most one succeeds.

        Raises:
            LastAdministratorError: there is no other administrator.
        """
        other = (await self.state(by)).user if by != name else None
        kept = by
        if other is None or not other.administers:
            every = {each: user for each, user in (await self.users()).items() if user.administers and each != name}
            if not every:
                raise LastAdministratorError(f"{name} is the last user who may administer users")
            kept, other = next(iter(every.items()))
        await self._put(kept, msgspec.structs.replace(other, version=other.version + 1))

    async def _put(self, name: str, user: User) -> None:
        for bucket in self._buckets(name):
            # Each copy is compared with its own version: a change that failed half-way left the two at different
            # versions.
            record, _ = await self._control.call(Operation.USER_GET, bucket, (name, None))
            expected = msgspec.convert(record, User, strict=False).version if record is not None else 0
            if expected >= user.version and record != msgspec.to_builtins(user):
                raise _changed_meanwhile(name)
            await self._set(name, bucket, user, expected)

    async def _set(self, name: str, bucket: int, user: User | None, *expected: float) -> None:
        """Replace the expected record by another one, or by none."""
        try:
            await self._control.call(Operation.USER_PUT, bucket, (name, user, *expected))
        except StoreCallError as error:
            if error.status == Status.CONFLICT:
                raise _changed_meanwhile(name) from error
            raise

    async def revoke(self, name: str, token_id: str, expires_at: int) -> None:
        """Revoke one token of a user; it expires at a Unix time in seconds.

        The shards keep the revocation longer than that: for the token's leeway and the clock skew.

        Raises:
            StoreCallError: a shard did not accept the record; the token may still be accepted.
        """
        for bucket in self._buckets(name):
            await self._control.call(Operation.REVOKE, bucket, (name, token_id, expires_at * 1000))

    async def users(self) -> dict[str, User]:
        """All users by name, in order.

        Raises:
            StoreCallError: a shard could not be asked.
        """
        found: dict[str, User] = {}
        more = True
        while more:
            page, more = await self.page(next(reversed(found), ""), LIST_PAGE)
            found |= page
        return found

    async def page(self, after: str, limit: int) -> tuple[dict[str, User], bool]:
        """Up to `limit` users by name, in order, whose names follow `after`; and whether there are more. At most 999.

        Raises:
            StoreCallError: a shard could not be asked.
        """
        found: dict[str, User] = {}
        for shard in self._topology.map.holders:
            # A name that is among the first of all shards is among the first of its own shard.
            for name, record in await self._control.call_shard(shard, Operation.USER_LIST, (after, limit + 1)):
                user = msgspec.convert(record, User, strict=False)
                if name not in found or found[name].version < user.version:
                    found[name] = user
        names = sorted(found)
        return {name: found[name] for name in names[:limit]}, len(names) > limit


def _changed_meanwhile(name: str) -> ChangedMeanwhileError:
    return ChangedMeanwhileError(f"user {name} was changed by somebody else at the same time")


async def _first_answers(calls: list[Awaitable[Any]]) -> list[Any]:
    """The answers of the calls that succeed. After the first one, the others have `SECOND_ANSWER_S` left.

    Raises:
        StoreCallError: no call succeeded.
    """
    tasks = [asyncio.ensure_future(call) for call in calls]
    waiting = set(tasks)
    answers: list[Any] = []
    failure: BaseException | None = None
    while waiting:
        done, waiting = await asyncio.wait(
            waiting, timeout=SECOND_ANSWER_S if answers else None, return_when=asyncio.FIRST_COMPLETED
        )
        for task in done:
            failure = task.exception() or failure
            if task.exception() is None:
                answers.append(task.result())
        if not done:
            break
    for task in waiting:
        task.add_done_callback(_ignore_error)
    if not answers and failure is not None:
        raise failure
    return answers


def _ignore_error(task: asyncio.Future[Any]) -> None:
    # This answer is not needed any more; without this call its error would be logged when the task is freed.
    if not task.cancelled():
        task.exception()
