"""Turns the body of a write into the parts of a batch, for both formats.

A small body is decoded at once. In a large one the members are found first; then some values at a time are decoded,
checked, encoded and dropped, because their objects can take many times the memory of the body.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from api.batch.bodies import Beside
from api.batch.change_results import Asked
from api.batch.json_write import decode_json_write, decode_large_json_write, has_few_elements
from api.batch.limits import check_count
from api.batch.members import Members
from api.batch.msgpack_write import decode_large_msgpack_write, decode_msgpack_write
from api.batch.options import write_options
from api.batch.split import Groups
from api.batch.steps import Steps, at_once
from api.http.negotiation import Format
from protocol.operations import Operation
from protocol.settings import BatchSettings


def add_write(groups: Groups, body: bytes, body_format: Format, limits: BatchSettings) -> Asked:
    """Add the data of a small body to an empty batch.

    Raises:
        Problem: 400, the body is malformed, does not have the expected form, or has a key or value that cannot be
            stored.
    """
    if body_format is Format.MSGPACK:
        data, more = decode_msgpack_write(body)
    else:
        data, more = decode_json_write(body)
    if more:
        return at_once(_add_with_options(groups, data, more, body_format, limits))
    return _add(groups, data, limits)


def add_large_write(groups: Groups, body: bytes, body_format: Format, limits: BatchSettings) -> Steps[Asked]:
    """The same for a body of any size."""
    data: Mapping[str, Any]
    if body_format is Format.MSGPACK:
        data, more = yield from decode_large_msgpack_write(body, limits)
    elif has_few_elements(body):
        data, more = decode_json_write(body)
    else:
        data, more = yield from decode_large_json_write(body, limits)
    yield
    if more:
        return (yield from _add_with_options(groups, data, more, body_format, limits))
    return _add(groups, data, limits)


def _add(groups: Groups, data: Mapping[str, Any], limits: BatchSettings) -> Asked:
    check_count(len(data), "data", limits)
    groups.add_values(data, limits)
    return Asked(Operation.WRITE, len(data))


def _add_with_options(
    groups: Groups, data: Mapping[str, Any], more: Beside, body_format: Format, limits: BatchSettings
) -> Steps[Asked]:
    check_count(len(data), "data", limits)
    options = yield from write_options(Members(more, body_format, limits, data, "data"))
    yield
    groups.add_values(data, limits, options)
    return Asked(options.operation, len(data), options.versions)
