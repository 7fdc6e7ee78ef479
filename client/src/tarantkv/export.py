"""Reads an export: turns lines into items. It resumes an export that breaks off, and returns no item twice.

An export is complete only with its `end` line. After a break it continues after the last cursor. It skips items after
that cursor that had already arrived: keys come in the order of their bytes.
"""

from __future__ import annotations

import base64
import json
from collections import deque
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from tarantkv.answers import error_of, error_of_problem
from tarantkv.effects import Open, Read, Shut, Sleep, Steps, Stream
from tarantkv.errors import (
    ConnectionLostError,
    ExportBrokenError,
    InternalError,
    InvalidRequestError,
    OutcomeUnknownError,
    TarantKVError,
    UnauthorizedError,
    UnavailableError,
)
from tarantkv.models import Item
from tarantkv.sending import LOGINS_PER_CALL, Call, Sender, error_of_transport
from tarantkv.wire import NDJSON, TransportError, unpacked

MAX_LINE_BYTES = 16 * 1024 * 1024
"""More than any item takes; a longer line is not part of an export."""


class ExportReader:
    """`cursor` is the last one that arrived, `items` counts the items returned; `complete`: the `end` line has arrived.

    With `as_lines` items are the bytes of their lines, unchanged: Python cannot represent every value of MessagePack.
    """

    def __init__(self, sender: Sender, cursor: str | None, after: str | None, selection: Mapping[str, Any]) -> None:
        if cursor is not None and selection:
            raise InvalidRequestError("a cursor holds the selection: give either")
        self._sender = sender
        self._query = {name: _text(name, value) for name, value in selection.items()}
        self._stream: Stream | None = None
        self._rest = b""
        self._lines: deque[bytes] = deque()
        self._behind: bytes | None = None
        self._tries = self._logins = 0
        self._until = 0.0
        self.cursor = cursor
        self.items = 0
        self.last_key = after
        self.complete = self.as_lines = self._begun = False

    def next(self) -> Steps[list[Any] | None]:
        """The next items, at least one; None after the last.

        Raises:
            ExportBrokenError: it broke off and could not be resumed; the error names the cursor.
            TarantKVError: it could not begin.
        """
        while not self.complete:
            try:
                if self._stream is None:
                    yield from self._open()
                items = yield from self._read()
            except TransportError as lost:
                yield from self._after(error_of_transport(lost))
            except TarantKVError as error:
                yield from self._after(error)
            else:
                if items:
                    self._progress()
                    return items
        yield from self.shut()
        return None

    def shut(self) -> Steps[None]:
        """End the current answer, if there is one."""
        if self._stream is not None:
            stream, self._stream = self._stream, None
            yield Shut(stream)

    def _open(self) -> Steps[None]:
        if self._tries == 0:
            self._until = self._sender.until()
        query = self._query if self.cursor is None else {"cursor": self.cursor}
        path = "/api/export" + ("?" + urlencode(query, quote_via=quote) if query else "")
        call = Call(path, method="GET", headers={"accept": NDJSON})
        if self._sender.session.token is None and self._sender.session.ask is not None:
            yield from self._sender.log_in(self._until, by_itself=True)
        stream: Stream = yield Open(self._sender.request(call, self._sender.policy.attempt_s))
        self._stream, self._rest = stream, b""
        self._lines.clear()
        if stream.head.status != 200:
            body = b""
            while len(body) < MAX_LINE_BYTES and (piece := (yield self._piece(stream))):
                body += piece
            raise error_of(stream.head._replace(body=body))
        self._begun = True
        self._behind = None if self.last_key is None else self.last_key.encode()

    def _piece(self, stream: Stream) -> Read:
        return Read(stream, self._sender.policy.attempt_s)

    def _read(self) -> Steps[list[Any]]:
        """The items of the lines that have arrived, or of the next ones; none if these are control lines."""
        if not self._lines:
            assert self._stream is not None  # noqa: S101 - `next` has opened it
            piece: bytes = yield self._piece(self._stream)
            if not piece:
                raise ConnectionLostError("the export ended without its last line")
            *lines, self._rest = (self._rest + piece).split(b"\n")
            self._lines.extend(lines)
            if len(self._rest) > MAX_LINE_BYTES:
                raise InternalError("a line of the export is too long")
        items: list[Any] = []
        while self._lines:
            try:
                self._take(self._lines[0], items)
            except TarantKVError:
                # The items before it are returned first; the next call finds the same line.
                if items:
                    break
                raise
            self._lines.popleft()
        return items

    def _take(self, line: bytes, items: list[Any]) -> None:
        document = _document(line)
        if "key" in document:
            self._item(line, document, items)
        elif document.get("end") is True:
            self.complete = True
        elif isinstance(document.get("error"), dict):
            problem = document["error"]
            self._note_cursor(document)
            raise error_of_problem(problem, int(problem.get("status") or 500))
        else:
            before = self.cursor
            self._note_cursor(document)
            if self.cursor != before:
                self._progress()

    def _progress(self) -> None:
        """Count attempts and logins anew: what breaks from now on has the whole deadline."""
        self._tries = self._logins = 0

    def _note_cursor(self, document: Mapping[str, Any]) -> None:
        if isinstance(document.get("cursor"), str):
            self.cursor = document["cursor"]

    def _item(self, line: bytes, document: dict[str, Any], items: list[Any]) -> None:
        key = document["key"]
        if self._behind is not None:
            if key.encode() <= self._behind:
                return
            self._behind = None
        if self.as_lines:
            items.append(line)
        else:
            if "value_msgpack" in document:
                try:
                    document["value"] = unpacked(base64.b64decode(document.pop("value_msgpack")))
                except (ValueError, TypeError):
                    raise ConnectionLostError(f"the value of key {key!r} is damaged") from None
            items.append(Item(**document))
        self.items += 1
        self.last_key = key

    def _after(self, error: TarantKVError) -> Steps[None]:
        """Wait, and continue with another connection, or raise an error that says where to continue."""
        yield from self.shut()
        self._tries += 1
        if self._tries == 1:
            self._until = self._sender.until()
        session, policy = self._sender.session, self._sender.policy
        if isinstance(error, UnauthorizedError) and session.ask is not None and self._logins < LOGINS_PER_CALL:
            self._logins += 1
            session.token = None
            return
        wait = policy.wait_s(self._tries, error.retry_after, self._sender.chance)
        passes = isinstance(error, (UnavailableError, OutcomeUnknownError))
        if passes and self._sender.clock() + wait < self._until:
            yield Sleep(wait)
            return
        if (not self._begun and not passes) or (self.cursor is None and self.last_key is None):
            raise error
        text = f"the export broke off after {self.items} items: {error.detail}"
        where = "from its start" if self.cursor is None else f"with the cursor {self.cursor}"
        broken = ExportBrokenError(
            f"{text}; go on {where}", cursor=self.cursor, items=self.items, last_key=self.last_key
        )
        broken.problem, broken.status = error.problem, error.status
        raise broken from error


def _document(line: bytes) -> dict[str, Any]:
    try:
        document = json.loads(line)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise ConnectionLostError("a line of the export is damaged")
    return document


_SELECTORS: dict[str, type] = {"values": bool, "segment": int, "segments": int}


def _text(name: str, value: object) -> str:
    """A selector as text in the query.

    Raises:
        InvalidRequestError: it has another type: as a text it would select other keys.
    """
    kind = _SELECTORS.get(name, str)
    if isinstance(value, str) and kind is str and _is_unicode(value):
        # Not `str(value)`: the members of an enumeration of texts may be written in another way.
        return str.__str__(value)
    if type(value) is not kind or kind is str:
        raise InvalidRequestError(f"{name} must be of type {kind.__name__} and valid: {value!r}")
    return str(value).lower() if kind is bool else str(value)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
