"""The calls of the api as steps, without input and output: `Client` and `AsyncClient` run them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Unpack

from tarantkv import batches
from tarantkv._version import VERSION
from tarantkv.batches import Documents
from tarantkv.cutting import batch
from tarantkv.effects import Steps
from tarantkv.errors import NotAllowedError, UnavailableError
from tarantkv.models import (
    ChangeOptions,
    DeleteOptions,
    ImportResult,
    IncrementOptions,
    KeyMeta,
    ReadResult,
    Ready,
    TouchOptions,
    TouchResult,
    User,
    UserChanges,
    With,
    WriteOptions,
)
from tarantkv.policy import Policy
from tarantkv.sending import Call, Sender
from tarantkv.session import Session

if TYPE_CHECKING:
    from tarantkv.export import ExportReader
    from tarantkv.imports import ImportPart
    from tarantkv.scan import ScanReader

_OURS = ("options", "idempotency_key", "deadline", "if_", "versions")


class Calls:
    """The calls of one client."""

    def __init__(
        self,
        session: Session,
        policy: Policy,
        clock: Callable[[], float],
        chance: Callable[[], float] | None = None,
        agent: str = f"tarantkv/{VERSION}",
    ) -> None:
        self.sender = Sender(session, policy, clock, chance or _chance, agent)
        self.session = session
        self.policy = policy

    def write(self, data: Mapping[str, Any], **options: Unpack[WriteOptions]) -> Steps[dict[str, str]]:
        """Store pairs; returns versions if they are asked for."""
        fixed = _fixed(options)
        if options.get("versions"):
            fixed["return"] = ["version"]
        documents = yield from self._change("/api/write", data, data, fixed, options)
        return _joined(documents, "versions")

    def read(
        self,
        keys: Iterable[str],
        *,
        with_: Iterable[With] = (),
        partial: bool = False,
        deadline: float | None = None,
    ) -> Steps[ReadResult]:
        """Read keys."""
        fixed: dict[str, Any] = {"with": list(with_)} if with_ else {}
        if partial:
            fixed["partial"] = True
        asked = batch("/api/read", keys, None, fixed)
        documents = yield from batches.run(self.sender, asked, key=None, deadline_s=deadline)
        return ReadResult(
            _joined(documents, "data"),
            [key for document in documents for key in document.get("not_found", ())],
            {key: KeyMeta(**meta) for key, meta in _joined(documents, "meta").items()},
            _joined(documents, "failed"),
        )

    def delete(self, keys: Iterable[str], **options: Unpack[DeleteOptions]) -> Steps[int]:
        """Remove keys; returns how many existed."""
        documents = yield from self._change("/api/delete", keys, None, _fixed(options), options)
        return sum(document["deleted"] for document in documents)

    def touch(self, keys: Iterable[str], **options: Unpack[TouchOptions]) -> Steps[TouchResult]:
        """Give keys another expiry."""
        documents = yield from self._change("/api/touch", keys, None, _fixed(options), options)
        return TouchResult(
            sum(document["touched"] for document in documents),
            [key for document in documents for key in document.get("not_found", ())],
        )

    def increment(self, data: Mapping[str, int], **options: Unpack[IncrementOptions]) -> Steps[dict[str, int]]:
        """Add to counters; returns their results."""
        documents = yield from self._change("/api/increment", data, data, _fixed(options), options)
        return _joined(documents, "data")

    def scan(self, cursor: str | None, limit: int, selection: Mapping[str, Any]) -> ScanReader:
        """Keys in order, page by page."""
        # Imported here and below, so that a read of a key does not wait for modules that it does not use.
        from tarantkv.scan import ScanReader

        return ScanReader(self.sender, cursor, limit, selection)

    def export(self, cursor: str | None, after: str | None, selection: Mapping[str, Any]) -> ExportReader:
        """Keys in order as a stream."""
        from tarantkv.export import ExportReader

        return ExportReader(self.sender, cursor, after, selection)

    def import_part(self, part: ImportPart, deadline_s: float | None = None) -> Steps[ImportResult]:
        """Store the lines of one part of an import."""
        from tarantkv.imports import import_call

        document = yield from self.sender.document(import_call(part), self.sender.until(deadline_s))
        return ImportResult(**{name: document[name] for name in ImportResult._fields})

    def login(self) -> Steps[str]:
        """Get a token."""
        return (yield from self.sender.log_in(self.sender.until()))

    def logout(self) -> Steps[None]:
        """Revoke the token."""
        if self.session.token is None:
            return
        call = Call("/api/logout")
        ask, self.session.ask = self.session.ask, None
        try:
            yield from self.sender.document(call, self.sender.until())
        except NotAllowedError:
            # The token was void already.
            pass
        finally:
            self.session.ask = ask
        self.session.token = None

    def live(self) -> Steps[dict[str, Any]]:
        """The answer of `/health/live`: status and version."""
        return (yield from self.sender.document(_get("/health/live"), self.sender.until()))

    def ready(self) -> Steps[Ready]:
        """Whether the api is ready, asked once."""
        try:
            document = yield from self.sender.document(_get("/health/ready", patient=False), self.sender.until())
        except UnavailableError as error:
            if error.kind is None:
                raise
            return Ready([], [], str(error.problem.get("detail") or error.detail))
        return Ready(document["shards"], document["shards_down"])

    def status(self) -> Steps[dict[str, Any]]:
        """The state of the system, asked once."""
        return (yield from self.sender.document(Call("/api/status", method="GET", patient=False), self.sender.until()))

    def users(self) -> Steps[list[User]]:
        """All users."""
        from tarantkv.users import list_users

        return list_users(self.sender)

    def user(self, name: str) -> Steps[User]:
        """One user."""
        from tarantkv.users import get_user

        return get_user(self.sender, name)

    def add_user(self, name: str, password: str, scopes: Iterable[str]) -> Steps[User]:
        """Add a user."""
        from tarantkv.users import add_user

        return add_user(self.sender, name, password, scopes)

    def change_user(self, name: str, **changes: Unpack[UserChanges]) -> Steps[User]:
        """Change a user."""
        from tarantkv.users import change_user

        return change_user(self.sender, name, changes.get("password"), changes.get("scopes"), changes.get("disabled"))

    def remove_user(self, name: str) -> Steps[None]:
        """Remove a user."""
        from tarantkv.users import remove_user

        return remove_user(self.sender, name)

    def metrics(self) -> Steps[str]:
        """The text of `/metrics`."""
        response = yield from self.sender.response(_get("/metrics", accept="text/plain"), self.sender.until())
        return response.body.decode("utf-8", "replace")

    def date(self) -> Steps[str | None]:
        """The `Date` of an answer."""
        response = yield from self.sender.response(_get("/health/live"), self.sender.until())
        return response.headers.get("date")

    def _change(
        self,
        path: str,
        keys: Iterable[str],
        values: Mapping[str, Any] | None,
        fixed: Mapping[str, Any],
        options: ChangeOptions,
    ) -> Steps[Documents]:
        asked = batch(path, keys, values, fixed, options.get("options"))
        key = batches.idempotency_key(options.get("idempotency_key"))
        return (yield from batches.run(self.sender, asked, key=key, deadline_s=options.get("deadline")))


def _chance() -> float:
    # Importing `random` takes longer than it would save here.
    return int.from_bytes(os.urandom(4), "big") / 2**32


def _get(path: str, accept: str = "application/json", *, patient: bool = True) -> Call:
    return Call(path, method="GET", headers={"accept": accept}, authenticated=False, patient=patient)


def _fixed(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that are copied to the body unchanged."""
    fixed = {name: value for name, value in options.items() if name not in _OURS}
    if "if_" in options:
        fixed["if"] = options["if_"]
    return fixed


def _joined(documents: Documents, member: str) -> dict[str, Any]:
    """A member that maps keys, from all parts together."""
    if len(documents) == 1:
        found: dict[str, Any] = documents[0].get(member, {})
        return found
    return {key: value for document in documents for key, value in document.get(member, {}).items()}
