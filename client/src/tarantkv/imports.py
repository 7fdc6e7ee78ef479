"""Cuts the lines of an import into parts that fit into a request, each with an `Idempotency-Key` of its own."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, TypeAlias

from tarantkv.errors import InvalidRequestError, InvalidValueError
from tarantkv.models import Item
from tarantkv.sending import IDEMPOTENCY_KEY, Call
from tarantkv.wire import NDJSON, packed, packer

PART_LINES = 5000
PART_BYTES = 4 * 1024 * 1024
"""Half of the lines and a quarter of the bytes that the server accepts: several parts are sent at a time."""

Line: TypeAlias = bytes | str | Item | Mapping[str, Any]
"""An encoded line, an item of a scan or an export, or the members of a line (`key`, `value`, `ttl`, `if`, …)."""


class ImportPart(NamedTuple):
    """Some lines. `number` counts parts from 1, `first_line` lines; `key` is the part's `Idempotency-Key`."""

    number: int
    first_line: int
    lines: int
    body: bytes
    key: str


def import_call(part: ImportPart) -> Call:
    """The request that sends a part."""
    headers = {IDEMPOTENCY_KEY: part.key, "content-type": NDJSON}
    return Call(f"/api/import?first_line={part.first_line}", part.body, headers=headers, changes=True)


def new_import() -> str:
    """A name for an import: the beginning of the keys of its parts."""
    return os.urandom(12).hex()


def part_key(name: str, number: int) -> str:
    """The `Idempotency-Key` of a part."""
    return f"{name}/{number:06}"


class Cutter:
    """Collects lines into parts of at most so many lines, and bytes unless a single line has more. The same lines make
    the same parts.
    """

    def __init__(
        self,
        name: str,
        first_line: int = 1,
        most_lines: int = PART_LINES,
        most_bytes: int = PART_BYTES,
        number: int = 1,
    ) -> None:
        self._name = name
        self._most = most_lines, most_bytes
        self._number, self._first = number, first_line
        self._lines: list[bytes] = []
        self._size = 0

    def add(self, line: Line) -> ImportPart | None:
        """Add a line; returns the part of the lines before it when they are enough.

        Raises:
            InvalidValueError, InvalidRequestError: the line cannot be sent; the text names it.
        """
        encoded = encoded_line(line, self._first + len(self._lines))
        most_lines, most_bytes = self._most
        full = len(self._lines) >= most_lines or self._size + len(encoded) > most_bytes
        part = self.rest() if self._lines and full else None
        self._lines.append(encoded)
        self._size += len(encoded)
        return part

    def rest(self) -> ImportPart | None:
        """The part of the lines that were added last; None if there are none."""
        if not self._lines:
            return None
        part = ImportPart(
            self._number, self._first, len(self._lines), b"".join(self._lines), part_key(self._name, self._number)
        )
        self._number, self._first = self._number + 1, self._first + len(self._lines)
        self._lines, self._size = [], 0
        return part


def parts(lines: Iterable[Line], name: str, first_line: int = 1) -> Iterator[ImportPart]:
    """Cut lines into parts.

    Raises:
        InvalidValueError, InvalidRequestError: a line cannot be sent; the text names it.
    """
    cutter = Cutter(name, first_line)
    for line in lines:
        if (part := cutter.add(line)) is not None:
            yield part
    last = cutter.rest()
    if last is not None:
        yield last


async def parts_of(
    lines: Iterable[Line] | AsyncIterable[Line], name: str, first_line: int = 1
) -> AsyncIterator[ImportPart]:
    """The same for lines that may come from an asynchronous iterator."""
    if not isinstance(lines, AsyncIterable):
        for each in parts(lines, name, first_line):
            yield each
        return
    cutter = Cutter(name, first_line)
    async for line in lines:
        if (part := cutter.add(line)) is not None:
            yield part
    last = cutter.rest()
    if last is not None:
        yield last


def encoded_line(line: Line, number: int) -> bytes:
    """Encode a line, with its end.

    Raises:
        InvalidValueError, InvalidRequestError: it is not a valid line.
    """
    if isinstance(line, (bytes, str)):
        try:
            text = line.encode("utf-8", "surrogateescape") if isinstance(line, str) else line
        except UnicodeEncodeError:
            raise InvalidValueError(f"line {number} has half of a surrogate pair") from None
        text = text.removesuffix(b"\n")
        if b"\n" in text:
            raise InvalidRequestError(f"line {number} is several lines")
        return text + b"\n"
    members = item_members(line) if isinstance(line, Item) else dict(line)
    return json_line(members)


def item_members(item: Item) -> dict[str, Any]:
    """An item as the members of a line."""
    members: dict[str, Any] = {"key": item.key, "value": item.value}
    if item.version is not None:
        members["version"] = item.version
    if item.expires_at is not None:
        members["expires_at"] = item.expires_at
    return members


def json_line(members: dict[str, Any]) -> bytes:
    """Members as an exact line: a value that JSON cannot express is in it as MessagePack in base64.

    Raises:
        InvalidValueError: the value cannot be stored.
    """
    try:
        if "value" in members and not is_json(members["value"]):
            encoded = packed(packer(), members["value"], str(members.get("key")))
            members = {name: value for name, value in members.items() if name != "value"}
            members["value_msgpack"] = base64.b64encode(encoded).decode()
        return json.dumps(members, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode() + b"\n"
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidValueError(f"the line of key {members.get('key')!r} cannot be written: {error}") from None


def is_json(value: Any) -> bool:
    """Whether JSON returns the value unchanged."""
    if value is None or isinstance(value, (str, bool, int)):
        return True
    if isinstance(value, float):
        return value - value == 0
    if isinstance(value, dict):
        return all(isinstance(key, str) for key in value) and all(map(is_json, value.values()))
    return isinstance(value, (list, tuple)) and all(map(is_json, value))
