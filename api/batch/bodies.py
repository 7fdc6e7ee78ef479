"""The types of the bodies of batches: their keys or data, and further members, which stay encoded here.

`api.batch.options` decodes those members. Most requests have none of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Generic, TypeAlias, TypeVar

import msgspec

K = TypeVar("K")
V = TypeVar("V")

ABSENT = msgspec.Raw()
"""The value of a member that the request does not have."""

Beside: TypeAlias = Mapping[str, msgspec.Raw]
"""The members of a request besides `data` or `keys`, encoded."""

NOTHING: Beside = {}

_ABSENT = tuple((ABSENT,) * count for count in range(10))


class WriteBody(msgspec.Struct, Generic[K, V], forbid_unknown_fields=True):
    """The body of a write. The type parameters say how far keys and values are decoded."""

    data: dict[K, V]
    ttl: msgspec.Raw = ABSENT
    expires_at: msgspec.Raw = ABSENT
    options: msgspec.Raw = ABSENT
    condition: msgspec.Raw = msgspec.field(name="if", default=ABSENT)
    returned: msgspec.Raw = msgspec.field(name="return", default=ABSENT)


class IncrementBody(msgspec.Struct, Generic[K, V], forbid_unknown_fields=True):
    """The body of an increment."""

    data: dict[K, V]
    ttl: msgspec.Raw = ABSENT
    expires_at: msgspec.Raw = ABSENT
    ttl_on: msgspec.Raw = ABSENT
    min: msgspec.Raw = ABSENT
    max: msgspec.Raw = ABSENT
    initial: msgspec.Raw = ABSENT
    options: msgspec.Raw = ABSENT


class ReadBody(msgspec.Struct, Generic[K], forbid_unknown_fields=True):
    """The body of a read."""

    keys: list[K]
    wanted: msgspec.Raw = msgspec.field(name="with", default=ABSENT)
    partial: msgspec.Raw = ABSENT


class DeleteBody(msgspec.Struct, Generic[K], forbid_unknown_fields=True):
    """The body of a delete."""

    keys: list[K]
    condition: msgspec.Raw = msgspec.field(name="if", default=ABSENT)
    options: msgspec.Raw = ABSENT


class TouchBody(msgspec.Struct, Generic[K], forbid_unknown_fields=True):
    """The body of a touch."""

    keys: list[K]
    ttl: msgspec.Raw = ABSENT
    expires_at: msgspec.Raw = ABSENT
    options: msgspec.Raw = ABSENT


def beside(body: msgspec.Struct) -> Beside:
    """The members of a body besides its first one, by their names in the request."""
    members = msgspec.structs.astuple(body)[1:]
    if members == _ABSENT[len(members)]:
        return NOTHING
    names = body.__struct_encode_fields__[1:]
    return {name: member for name, member in zip(names, members, strict=True) if member is not ABSENT}
