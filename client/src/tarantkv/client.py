"""The synchronous client."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, Unpack

from tarantkv.calls import Calls
from tarantkv.effects import Outcome, Steps
from tarantkv.iterators import Export, Scan
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
from tarantkv.opening import proxied, selected, session_of
from tarantkv.policy import Policy
from tarantkv.runner import Runner
from tarantkv.session import Ask
from tarantkv.transport import Transport

if TYPE_CHECKING:
    import ssl

    from tarantkv.imports import ImportPart, Line


def default_transport(url: str, tls: ssl.SSLContext | None = None) -> Transport:
    """Connections of the standard library, or of httpx2 if the environment names a proxy."""
    # Imported here, because httpx2 takes longer to start than a whole call.
    if proxied(url):
        from tarantkv.transport.with_httpx import HttpxTransport

        return HttpxTransport(url, tls=tls)
    from tarantkv.transport.plain import PlainTransport

    return PlainTransport(url, tls=tls)


class Client:
    """A client of the api at `url`. Threads may share it, and a forked process may continue to use it.

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
        transport: Transport | None = None,
    ) -> None:
        session = session_of(username, password, token, credentials)
        self._calls = Calls(session, policy or Policy(), time.monotonic)
        self._runner = Runner(transport or default_transport(url, tls))

    def get(self, key: str, default: Any = None) -> Any:
        """The value of a key; `default` if it is absent."""
        return self.read([key]).data.get(key, default)

    def read(
        self,
        keys: Iterable[str],
        *,
        with_: Iterable[With] = (),
        partial: bool = False,
        deadline: float | None = None,
    ) -> ReadResult:
        """Read keys. `partial`: if some shards cannot answer, return the values from the others, and `failed`."""
        return self._runner.run(self._calls.read(keys, with_=with_, partial=partial, deadline=deadline))

    def set(self, key: str, value: Any, **options: Unpack[WriteOptions]) -> None:
        """Store a value."""
        self.write({key: value}, **options)

    def write(self, data: Mapping[str, Any], **options: Unpack[WriteOptions]) -> dict[str, str]:
        """Store pairs. Returns the new version of each key if `versions=True` asks for them."""
        return self._runner.run(self._calls.write(data, **options))

    def delete(self, *keys: str, **options: Unpack[DeleteOptions]) -> int:
        """Remove keys; returns how many existed."""
        return self._runner.run(self._calls.delete(keys, **options))

    def touch(self, *keys: str, **options: Unpack[TouchOptions]) -> TouchResult:
        """Give keys another expiry."""
        return self._runner.run(self._calls.touch(keys, **options))

    def increment(self, data: Mapping[str, int], **options: Unpack[IncrementOptions]) -> dict[str, int]:
        """Add to counters; returns their results."""
        return self._runner.run(self._calls.increment(data, **options))

    def incr(self, key: str, by: int = 1, **options: Unpack[IncrementOptions]) -> int:
        """Add to one counter; returns its result."""
        return self.increment({key: by}, **options)[key]

    def scan(
        self,
        prefix: str | None = None,
        *,
        cursor: str | None = None,
        page_size: int = 1000,
        **options: Unpack[ScanOptions],
    ) -> Scan:
        """Keys in the order of their bytes."""
        return Scan(self._runner, self._calls.scan(cursor, page_size, selected(prefix, options)))

    def export(
        self,
        prefix: str | None = None,
        *,
        cursor: str | None = None,
        after: str | None = None,
        **options: Unpack[ExportOptions],
    ) -> Export:
        """Keys in the order of their bytes, as one stream, which is resumed when it breaks.

        If it cannot be resumed, iterating raises `ExportBrokenError`, which names the cursor. To continue from there,
        pass that `cursor`, and its `last_key` as `after`: keys up to this one are skipped.
        """
        return Export(self._runner, self._calls.export(cursor, after, selected(prefix, options)))

    def import_lines(
        self, lines: Iterable[Line], *, name: str | None = None, first_line: int = 1, deadline: float | None = None
    ) -> Iterator[tuple[ImportPart, ImportResult]]:
        """Store lines or items, some thousand in a request; yields each part with its result when it is done.

        The same lines with the same `name` are the same requests: an interrupted import can be run again within ten
        minutes, and changes nothing twice.

        Raises:
            TarantKVError: a part failed; the parts yielded before are stored.
        """
        from tarantkv.imports import new_import, parts

        for part, outcome in self.import_parts(parts(lines, name or new_import(), first_line), deadline):
            if outcome.error is not None:
                raise outcome.error
            yield part, outcome.value

    def import_parts(
        self, asked: Iterable[ImportPart], deadline: float | None = None
    ) -> Iterator[tuple[ImportPart, Outcome]]:
        """Send parts that were cut elsewhere; yields each with its `ImportResult` or its error, when it is done."""
        cut: dict[int, ImportPart] = {}

        def steps() -> Iterator[Steps[ImportResult]]:
            for position, part in enumerate(asked):
                cut[position] = part
                yield self._calls.import_part(part, deadline)

        for position, outcome in self._runner.beside_each_other(steps(), self._calls.policy.parallel):
            yield cut.pop(position), outcome

    def login(self) -> str:
        """Log in now; returns the token."""
        return self._runner.run(self._calls.login())

    def logout(self) -> None:
        """Revoke the token."""
        self._runner.run(self._calls.logout())

    @property
    def token(self) -> str | None:
        """The token that is sent with requests."""
        return self._calls.session.token

    def live(self) -> dict[str, Any]:
        """`status` and `version` of the api."""
        return self._runner.run(self._calls.live())

    def ready(self) -> Ready:
        """Whether the api is ready, and which shards are down; asked once, without repetitions."""
        return self._runner.run(self._calls.ready())

    def status(self) -> dict[str, Any]:
        """The state of the system, as `GET /api/status` reports it to users with the scope `observe`; asked once."""
        return self._runner.run(self._calls.status())

    def users(self) -> list[User]:
        """All users by name. This and the next four are for users with the scope `admin`."""
        return self._runner.run(self._calls.users())

    def user(self, name: str) -> User:
        """One user; raises `NotFoundError` if there is none."""
        return self._runner.run(self._calls.user(name))

    def add_user(self, name: str, password: str, scopes: Iterable[str] = ("read", "write")) -> User:
        """Add a user; raises `ConflictError` if the name is taken."""
        return self._runner.run(self._calls.add_user(name, password, scopes))

    def change_user(self, name: str, **changes: Unpack[UserChanges]) -> User:
        """Change a user's `password`, `scopes` or whether it is `disabled`."""
        return self._runner.run(self._calls.change_user(name, **changes))

    def remove_user(self, name: str) -> None:
        """Remove a user; the user's tokens are void from then on."""
        self._runner.run(self._calls.remove_user(name))

    def metrics(self) -> str:
        """The text of `/metrics`, in Prometheus' format."""
        return self._runner.run(self._calls.metrics())

    def date(self) -> str | None:
        """The server's clock, from the `Date` of an answer."""
        return self._runner.run(self._calls.date())

    def close(self) -> None:
        """Close all connections; later calls raise `ClosedError`."""
        self._runner.closed = True
        self._runner.transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()
