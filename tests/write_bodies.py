"""Decodes the bodies of writes with the api's decoder of small bodies and with that of large ones."""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from unittest.mock import patch

import msgspec

from api.batch import json_write
from api.batch.split import Groups
from api.batch.steps import at_once
from api.batch.write_body import add_large_write, add_write
from api.http.negotiation import Format
from protocol.buckets import ShardMap
from protocol.settings import BatchSettings

LIMITS = BatchSettings()
ONE_SHARD = ShardMap(("s1",), 100, (0,) * 101)


class Way(Enum):
    """How a body is read."""

    AT_ONCE = "at once"
    IN_STEPS = "in steps"


@contextmanager
def in_steps() -> Iterator[None]:
    """Read bodies in steps, however small they are."""
    with patch.object(json_write, "FEW_BYTES", -1), patch.object(json_write, "FEW_ELEMENTS", -1):
        yield


def stored(body: bytes, body_format: Format, way: Way, limits: BatchSettings = LIMITS) -> dict[str, bytes]:
    """The bytes that a write would send to the shard, by key; raises `Problem` if it is refused."""
    groups = Groups(ONE_SHARD)
    if way is Way.AT_ONCE:
        add_write(groups, body, body_format, limits)
    else:
        with in_steps():
            at_once(add_large_write(groups, body, body_format, limits))
    found = {}
    for part in groups.parts():
        rows = msgspec.msgpack.decode(part.body, type=list[tuple[str, int, msgspec.Raw]])
        for key, (name, _, value) in zip(part.keys, rows, strict=True):
            assert name == key
            found[key] = bytes(value)
    return found
