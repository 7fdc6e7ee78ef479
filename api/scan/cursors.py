"""Cursors: where a scan goes on, with everything that it selects, signed so that nobody can make one up.

A cursor depends on nothing that changes: no process, no shard, no map. It is good for as long as the secret that signed
it is among the server's, and for the cluster that it names.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import NamedTuple

import msgspec

from api.http.problems import Kind, Problem, at
from api.scan.selection import Selection

VERSION = 1
"""Of the format of cursors; a later one must not take those of before for its own."""

SIGNATURE_BYTES = 16
MAX_CHARACTERS = 8192
"""Of a cursor that is looked at: the longest one has three keys of 1,024 bytes."""

_PURPOSE = b"tarant-kv: cursors of scans"
_FORM = re.compile(r"[A-Za-z0-9_-]+")


class CursorOf(IntEnum):
    """What made a cursor; nothing else takes it."""

    SCAN = 0
    EXPORT = 1


class Place(NamedTuple):
    """Where a scan goes on: behind `position`, after `items` keys."""

    selection: Selection
    position: bytes | None
    items: int


class _Content(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    version: int
    kind: CursorOf
    cluster: str
    selection: Selection
    position: bytes | None
    items: int


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Content).decode


class Cursors:
    """Makes and takes cursors. The first of the secrets signs, all are taken. `cluster` tells the cluster's id."""

    def __init__(self, secrets: Sequence[str], cluster: Callable[[], str]) -> None:
        # A key of its own: what a token is signed with must sign nothing else.
        self._keys = [hmac.digest(secret.encode(), _PURPOSE, hashlib.sha256) for secret in secrets]
        self._cluster = cluster

    def make(self, kind: CursorOf, place: Place) -> str:
        """The cursor of a place."""
        content = _encode(_Content(VERSION, kind, self._cluster(), *place))
        return base64.urlsafe_b64encode(_signature(self._keys[0], content) + content).rstrip(b"=").decode()

    def take(self, kind: CursorOf, cursor: str) -> Place:
        """The place of a cursor.

        Raises:
            Problem: 400, it was not made here for this, or not for this cluster.
        """
        content = self._opened(cursor)
        if content.kind != kind:
            raise _refused(f"the cursor is one of {'an export' if content.kind == CursorOf.EXPORT else 'a scan'}")
        if content.cluster != self._cluster():
            raise _refused("the cursor is of another cluster")
        return Place(content.selection, content.position, content.items)

    def _opened(self, cursor: str) -> _Content:
        if len(cursor) > MAX_CHARACTERS or _FORM.fullmatch(cursor) is None:
            raise _refused()
        try:
            raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        except ValueError:
            raise _refused() from None
        signature, content = raw[:SIGNATURE_BYTES], raw[SIGNATURE_BYTES:]
        spelling = base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
        if spelling != cursor or not any(
            hmac.compare_digest(_signature(key, content), signature) for key in self._keys
        ):
            raise _refused()
        try:
            opened = _decode(content)
        except (msgspec.MsgspecError, ValueError):
            # Signed, and of no form that is known here: made by a later version.
            raise _refused("the cursor is of another version") from None
        if opened.version != VERSION:
            raise _refused("the cursor is of another version")
        return opened


def _signature(key: bytes, content: bytes) -> bytes:
    return hmac.digest(key, content, hashlib.sha256)[:SIGNATURE_BYTES]


def _refused(detail: str = "the cursor is not one that this server has made") -> Problem:
    return at(Kind.INVALID_REQUEST, detail, "cursor")
