"""Decodes the lines of an import: items to store, control lines of an export, and lines that are rejected.

Each line is checked separately: a rejected one never makes others fail.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, NoReturn, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

from api.batch.expiries import expiry_of
from api.batch.json_write import encoded_json
from api.batch.msgpack_values import in_doubt
from api.batch.msgpack_walk import walk
from api.batch.refused_body import why_no_json
from api.batch.steps import STEP_BYTES, Steps
from api.batch.values import ValueNotKeptError
from api.http.problems import Kind, Problem
from protocol.rows import Expiry
from protocol.settings import BatchSettings

STEP_LINES = 200
"""Lines that one step decodes at most."""

LONGEST_DETAIL = 300

_ABSENT = msgspec.Raw()
_SPACE = b" \t\r\n"

# A union is a type to the decoder.
Scalar: TypeAlias = bool | int | float | str | None


class _Line(msgspec.Struct, forbid_unknown_fields=True):
    """A valid line. An export also gives an item's version, which an import ignores."""

    key: str | UnsetType = UNSET
    value: msgspec.Raw = _ABSENT
    value_msgpack: str | UnsetType = UNSET
    ttl: Scalar | UnsetType = UNSET
    expires_at: Scalar | UnsetType = UNSET
    condition: Literal["absent"] | UnsetType | None = msgspec.field(name="if", default=UNSET)
    version: str | UnsetType = UNSET
    cursor: str | UnsetType = UNSET
    items: int | UnsetType = UNSET
    end: bool | UnsetType = UNSET
    error: msgspec.Raw = _ABSENT


_decode = msgspec.json.Decoder(_Line).decode


class Item(NamedTuple):
    """A pair to store. `value` is encoded; `if_absent`: store it only if the key is absent."""

    value: msgspec.Raw
    expiry: Expiry
    if_absent: bool


@dataclass(slots=True)
class Import:
    """The content of an import. `lines` counts those that are items or rejected.

    `number` has the line of each key, `rejected` the reason for each rejected line, by its number.
    """

    lines: int = 0
    items: dict[str, Item] = field(default_factory=dict)
    number: dict[str, int] = field(default_factory=dict)
    rejected: dict[int, dict[str, Any]] = field(default_factory=dict)

    def reject(self, line: int, code: str, detail: str, key: str | None = None) -> None:
        """Reject a line."""
        named = {} if key is None else {"key": key}
        self.rejected[line] = {"line": line, **named, "code": code, "detail": detail[:LONGEST_DETAIL]}


class _RejectedError(Exception):
    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


def read_lines(body: bytes, first_line: int, limits: BatchSettings) -> Steps[Import]:
    """Decode all lines; the first has the number `first_line`. If lines have the same key, the last one counts.

    Raises:
        Problem: 400, there are too many lines, or none.
    """
    if not body:
        raise Problem(Kind.EMPTY_BATCH, "the body has no line")
    count = body.count(b"\n") + (not body.endswith(b"\n"))
    if count > limits.max_batch_keys:
        raise Problem(Kind.TOO_MANY_KEYS, f"{count} lines, {limits.max_batch_keys} are allowed in an import")
    found = Import()
    at = done = 0
    for line in range(first_line, first_line + count):
        end = body.find(b"\n", at)
        text = body[at : end if end >= 0 else len(body)].strip(_SPACE)
        at = end + 1
        if text:
            yield from _read(found, line, text, limits)
        done += len(text)
        if done >= STEP_BYTES or line % STEP_LINES == 0:
            done = 0
            yield
    return found


def _read(found: Import, line: int, text: bytes, limits: BatchSettings) -> Steps[None]:
    key: str | None = None
    try:
        given = _decoded(text)
        if given.key is UNSET:
            _check_control(given)
            return
        name = given.key
        _check_key(name, limits.max_key_bytes)
        key = name
        item = yield from _item(given, name, limits)
    except _RejectedError as rejected:
        found.lines += 1
        found.reject(line, rejected.code, str(rejected), key)
        return
    found.lines += 1
    before = found.number.get(name)
    if before is not None:
        found.reject(before, "repeated_key", f"line {line} has the same key, and counts", name)
    found.number[name] = line
    found.items[name] = item


def _decoded(text: bytes) -> _Line:
    try:
        return _decode(text)
    except msgspec.ValidationError as error:
        raise _RejectedError("invalid_line", str(error)) from None
    except RecursionError:
        raise _RejectedError("invalid_value", "nested too deep") from None
    except (msgspec.MsgspecError, ValueError) as error:
        raise _RejectedError("invalid_line", f"the line is not JSON: {why_no_json(error)}") from None


def _check_control(given: _Line) -> None:
    """Check that a line without a key is a control line of an export."""
    if given.error is not _ABSENT:
        raise _RejectedError("export_failed", "the export ended here with an error, so it is incomplete")
    if given.cursor is UNSET and given.end is UNSET:
        raise _RejectedError("invalid_line", "the line has no 'key'")


def _check_key(key: str, most: int) -> None:
    size = len(key.encode())
    if not 0 < size <= most:
        raise _RejectedError("invalid_key", f"the key has {size} bytes, 1 to {most} are allowed")


def _item(given: _Line, key: str, limits: BatchSettings) -> Steps[Item]:
    if given.cursor is not UNSET or given.end is not UNSET or given.items is not UNSET or given.error is not _ABSENT:
        raise _RejectedError("invalid_line", "an item has no 'cursor', 'items', 'end' or 'error'")
    if (given.value is _ABSENT) == (given.value_msgpack is UNSET):
        raise _RejectedError("invalid_line", "the line must have either 'value' or 'value_msgpack'")
    try:
        expiry = expiry_of(given.ttl, given.expires_at)
    except Problem as problem:
        raise _RejectedError("invalid_expiry", problem.detail) from None
    if given.value_msgpack is UNSET:
        value = yield from _from_json(key, bytes(given.value), limits.max_value_bytes)
    else:
        value = yield from _from_base64(given.value_msgpack, limits.max_value_bytes)
    return Item(msgspec.Raw(value), None if expiry is UNSET else expiry, given.condition == "absent")


def _from_json(key: str, text: bytes, most: int) -> Steps[bytes]:
    # Each of these characters, inside a text or not, takes a byte or more of the encoded value.
    if max(text.count(b","), text.count(b"[") + text.count(b"{")) > most:
        _refuse_size(f"more than {most}", most)
    try:
        # A value that is too large is found here, so that its reason differs from that of a value that cannot be stored
        # at all.
        value = yield from encoded_json(key, text, len(text) * 9)
    except Problem as problem:
        raise _RejectedError("invalid_value", problem.detail) from None
    if len(value) > most:
        _refuse_size(len(value), most)
    return value


def _from_base64(text: str, most: int) -> Steps[bytes]:
    try:
        value = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise _RejectedError("invalid_value", "'value_msgpack' is not base64") from None
    if len(value) > most:
        _refuse_size(len(value), most)
    if not value or in_doubt((msgspec.Raw(value),)):
        try:
            end = yield from walk(value)
        except ValueNotKeptError as error:
            raise _RejectedError("invalid_value", str(error)) from None
        except IndexError:
            end = -1
        if end != len(value):
            raise _RejectedError("invalid_value", "'value_msgpack' is not one MessagePack value")
    return value


def _refuse_size(size: int | str, most: int) -> NoReturn:
    raise _RejectedError("too_large", f"the value has {size} bytes as MessagePack, {most} are allowed")
