"""The body of a write to the parts of a batch, for both formats.

A small body is read at once. Of a large one the members are found first, and then some values at a time are decoded,
checked, encoded and dropped: their objects can take many times the memory of the body.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from api.batch.json_write import decode_json_write, decode_large_json_write, has_few_elements
from api.batch.msgpack_write import decode_large_msgpack_write, decode_msgpack_write
from api.batch.split import Groups, check_count
from api.batch.steps import Steps
from api.http.negotiation import Format
from protocol.settings import BatchSettings


def add_write(groups: Groups, body: bytes, body_format: Format, limits: BatchSettings) -> int:
    """Add what a small body says to an empty batch; returns the number of keys.

    Raises:
        Problem: 400, the body is malformed, not of the form expected, or has a key or value that cannot be kept.
    """
    return _add(
        groups, decode_msgpack_write(body) if body_format is Format.MSGPACK else decode_json_write(body), limits
    )


def add_large_write(groups: Groups, body: bytes, body_format: Format, limits: BatchSettings) -> Steps[int]:
    """The same for a body of any size."""
    if body_format is Format.MSGPACK:
        data = yield from decode_large_msgpack_write(body, limits)
    elif has_few_elements(body):
        return add_write(groups, body, body_format, limits)
    else:
        data = yield from decode_large_json_write(body, limits)
    yield
    return _add(groups, data, limits)


def _add(groups: Groups, data: Mapping[str, Any], limits: BatchSettings) -> int:
    check_count(len(data), "data", limits)
    groups.add_values(data, limits)
    return len(data)
