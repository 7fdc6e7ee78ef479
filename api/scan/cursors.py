"""Cursors: where a scan continues, with all its selectors, signed so that clients cannot make one.

A cursor does not depend on a process, a shard or the shard map. It is valid while the secret that signed it is among
the server's, and for the cluster that it names.
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
"""The version of the format of cursors; a later version must not read earlier ones as its own."""

SIGNATURE_BYTES = 16
MAX_CHARACTERS = 8192
"""The longest cursor that is decoded: a valid one has three keys of 1,024 bytes at most."""

_PURPOSE = b"tarant-kv: cursors of scans"
_FORM = re.compile(r"[A-Za-z0-9_-]+")


class CursorOf(IntEnum):
    """What made a cursor. Only the same kind of request accepts it."""

    SCAN = 0
    EXPORT = 1


class Place(NamedTuple):
    """Where a scan continues: after the key `position`, and after `items` keys."""

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
    """Makes and reads cursors. The first of the secrets signs, all verify. `cluster` returns the cluster's id."""

    def __init__(self, secrets: Sequence[str], cluster: Callable[[], str]) -> None:
        # A derived key: the keys that sign tokens must sign nothing else.
        self._keys = [hmac.digest(secret.encode(), _PURPOSE, hashlib.sha256) for secret in secrets]
        self._cluster = cluster

    def make(self, kind: CursorOf, place: Place) -> str:
        """Make the cursor of a place."""
        content = _encode(_Content(VERSION, kind, self._cluster(), *place))
        return base64.urlsafe_b64encode(_signature(self._keys[0], content) + content).rstrip(b"=").decode()

    def take(self, kind: CursorOf, cursor: str) -> Place:
        """Read a cursor; returns its place.

        Raises:
            Problem: 400, it was not made here, is for another kind of request, or for another cluster.
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
            # Signed, but in an unknown form: a later version made it.
            raise _refused("the cursor is of another version") from None
        if opened.version != VERSION:
            raise _refused("the cursor is of another version")
        return opened


def _signature(key: bytes, content: bytes) -> bytes:
    return hmac.digest(key, content, hashlib.sha256)[:SIGNATURE_BYTES]


def _refused(detail: str = "the cursor is not one that this server has made") -> Problem:
    return at(Kind.INVALID_REQUEST, detail, "cursor")
