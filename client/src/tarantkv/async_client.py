"""The asynchronous client: the calls of `Client`, to be awaited."""

from __future__ import annotations

import time
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Mapping
from contextlib import aclosing
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, Unpack

from tarantkv.async_iterators import AsyncExport, AsyncScan
from tarantkv.async_runner import AsyncRunner
from tarantkv.calls import Calls
from tarantkv.effects import Steps
from tarantkv.imports import ImportPart, Line, new_import, parts_of
from tarantkv.models import (
    DeleteOptions,
    ExportOptions,
    ImportResult,
    IncrementOptions,
    ReadResult,
    Ready,
    ScanOptions,
    TouchOptions,
    TouchResult,
    User,
    UserChanges,
    With,
    WriteOptions,
)
from tarantkv.opening import selected, session_of
from tarantkv.policy import Policy
from tarantkv.session import Ask
from tarantkv.transport import AsyncTransport
from tarantkv.transport.with_httpx import AsyncHttpxTransport

if TYPE_CHECKING:
    import ssl


class AsyncClient:
    """A client of the api at `url`, for asyncio. Tasks may share it, and it can be used in another event loop later.

    Pass a `token`, or a `username` and a `password`, or `credentials`, a function that returns both when they are
    needed: if a token ends, the client logs in again. `transport` replaces the client's own connections.
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:8081",
        *,
        username: str | None = None,
        password: str | None = None,
        token: str | None = None,
        credentials: Ask | None = None,
        policy: Policy | None = None,
        tls: ssl.SSLContext | None = None,
        transport: AsyncTransport | None = None,
    ) -> None:
        session = session_of(username, password, token, credentials)
        self._calls = Calls(session, policy or Policy(), time.monotonic)
        self._runner = AsyncRunner(transport or AsyncHttpxTransport(url, tls=tls))

    async def get(self, key: str, default: Any = None) -> Any:
        """The value of a key; `default` if it is absent."""
        return (await self.read([key])).data.get(key, default)

    async def read(
        self,
        keys: Iterable[str],
        *,
        with_: Iterable[With] = (),
        partial: bool = False,
        deadline: float | None = None,
    ) -> ReadResult:
        """Read keys. `partial`: if some shards cannot answer, return the values from the others, and `failed`."""
        return await self._runner.run(self._calls.read(keys, with_=with_, partial=partial, deadline=deadline))

    async def set(self, key: str, value: Any, **options: Unpack[WriteOptions]) -> None:
        """Store a value."""
        await self.write({key: value}, **options)

    async def write(self, data: Mapping[str, Any], **options: Unpack[WriteOptions]) -> dict[str, str]:
        """Store pairs. Returns the new version of each key if `versions=True` asks for them."""
        return await self._runner.run(self._calls.write(data, **options))

    async def delete(self, *keys: str, **options: Unpack[DeleteOptions]) -> int:
        """Remove keys; returns how many existed."""
        return await self._runner.run(self._calls.delete(keys, **options))

    async def touch(self, *keys: str, **options: Unpack[TouchOptions]) -> TouchResult:
        """Give keys another expiry."""
        return await self._runner.run(self._calls.touch(keys, **options))

    async def increment(self, data: Mapping[str, int], **options: Unpack[IncrementOptions]) -> dict[str, int]:
        """Add to counters; returns their results."""
        return await self._runner.run(self._calls.increment(data, **options))

    async def incr(self, key: str, by: int = 1, **options: Unpack[IncrementOptions]) -> int:
        """Add to one counter; returns its result."""
        return (await self.increment({key: by}, **options))[key]

    def scan(
        self,
        prefix: str | None = None,
        *,
        cursor: str | None = None,
        page_size: int = 1000,
        **options: Unpack[ScanOptions],
    ) -> AsyncScan:
        """Keys in the order of their bytes."""
        return AsyncScan(self._runner, self._calls.scan(cursor, page_size, selected(prefix, options)))

    def export(
        self,
        prefix: str | None = None,
        *,
        cursor: str | None = None,
        after: str | None = None,
        **options: Unpack[ExportOptions],
    ) -> AsyncExport:
        """Keys in the order of their bytes, as one stream, which is resumed when it breaks.

        If it cannot be resumed, iterating raises `ExportBrokenError`, which names the cursor. To continue from there,
        pass that `cursor`, and its `last_key` as `after`: keys up to this one are skipped.
        """
        return AsyncExport(self._runner, self._calls.export(cursor, after, selected(prefix, options)))

    async def import_lines(
        self,
        lines: Iterable[Line] | AsyncIterable[Line],
        *,
        name: str | None = None,
        first_line: int = 1,
        deadline: float | None = None,
    ) -> AsyncIterator[tuple[ImportPart, ImportResult]]:
        """Like `Client.import_lines`; the lines may come from an asynchronous iterator."""
        cut: dict[int, ImportPart] = {}

        async def steps() -> AsyncIterator[Steps[ImportResult]]:
            async for part in parts_of(lines, name or new_import(), first_line):
                cut[len(cut)] = part
                yield self._calls.import_part(part, deadline)

        async with aclosing(self._runner.beside_each_other(steps(), self._calls.policy.parallel)) as done:
            async for position, outcome in done:
                if outcome.error is not None:
                    raise outcome.error
                yield cut[position], outcome.value

    async def login(self) -> str:
        """Log in now; returns the token."""
        return await self._runner.run(self._calls.login())

    async def logout(self) -> None:
        """Revoke the token."""
        await self._runner.run(self._calls.logout())

    @property
    def token(self) -> str | None:
        """The token that is sent with requests."""
        return self._calls.session.token

    async def live(self) -> dict[str, Any]:
        """`status` and `version` of the api."""
        return await self._runner.run(self._calls.live())

    async def ready(self) -> Ready:
        """Whether the api is ready, and which shards are down; asked once, without repetitions."""
        return await self._runner.run(self._calls.ready())

    async def status(self) -> dict[str, Any]:
        """The state of the system, as `GET /api/status` reports it to users with the scope `observe`; asked once."""
        return await self._runner.run(self._calls.status())

    async def users(self) -> list[User]:
        """All users by name. This and the next four are for users with the scope `admin`."""
        return await self._runner.run(self._calls.users())

    async def user(self, name: str) -> User:
        """One user; raises `NotFoundError` if there is none."""
        return await self._runner.run(self._calls.user(name))

    async def add_user(self, name: str, password: str, scopes: Iterable[str] = ("read", "write")) -> User:
        """Add a user; raises `ConflictError` if the name is taken."""
        return await self._runner.run(self._calls.add_user(name, password, scopes))

    async def change_user(self, name: str, **changes: Unpack[UserChanges]) -> User:
        """Change a user's `password`, `scopes` or whether it is `disabled`."""
        return await self._runner.run(self._calls.change_user(name, **changes))

    async def remove_user(self, name: str) -> None:
        """Remove a user; the user's tokens are void from then on."""
        await self._runner.run(self._calls.remove_user(name))

    async def metrics(self) -> str:
        """The text of `/metrics`, in Prometheus' format."""
        return await self._runner.run(self._calls.metrics())

    async def date(self) -> str | None:
        """The server's clock, from the `Date` of an answer."""
        return await self._runner.run(self._calls.date())

    async def close(self) -> None:
        """Close all connections; later calls raise `ClosedError`."""
        self._runner.closed = True
        await self._runner.transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        await self.close()
