"""The body of an increment: the keys, what is added to each, and the bounds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, NoReturn

import msgspec
from msgspec import UNSET, UnsetType

from api.batch.bodies import Beside, IncrementBody, beside
from api.batch.counted_names import Name, name_counter
from api.batch.expiries import Given, expiry_of
from api.batch.limits import check_count
from api.batch.members import STEP_KEYS, Members, Scalar, refuse_member
from api.batch.options import own_options
from api.batch.refused_body import empty_body, invalid, refuse
from api.batch.split import Groups
from api.batch.steps import AT_ONCE, Steps
from api.http.negotiation import Format
from api.http.problems import Kind, Problem
from protocol.operations import Operation
from protocol.rows import HIGHEST, LOWEST, Expiry
from protocol.settings import BatchSettings

_ALWAYS = {"create": False, "always": True}

_CODERS = {Format.JSON: msgspec.json.Decoder, Format.MSGPACK: msgspec.msgpack.Decoder}
_small = {body_format: coder(IncrementBody[str, Scalar]).decode for body_format, coder in _CODERS.items()}
_encoded = {body_format: coder(IncrementBody[str, msgspec.Raw]).decode for body_format, coder in _CODERS.items()}
_scalars = {body_format: coder(Scalar).decode for body_format, coder in _CODERS.items()}

_ERRORS = (msgspec.MsgspecError, ValueError, RecursionError)


class _Options(msgspec.Struct, forbid_unknown_fields=True):
    """The options of a request for one key, or for all."""

    ttl: Given = UNSET
    expires_at: Given = UNSET
    ttl_on: Given = UNSET
    min: Given = UNSET
    max: Given = UNSET
    initial: Given = UNSET


class _Rules(NamedTuple):
    """The rules for a key, in their order in a row."""

    initial: int
    lowest: int | None
    highest: int | None
    expiry: Expiry | UnsetType
    always: bool

    def sent(self) -> _Rules:
        """The same in the form of a row: if no expiry is given, each counter keeps its own."""
        return self if self.expiry is not UNSET else self._replace(expiry=None, always=False)


def add_increments(groups: Groups, body: bytes, body_format: Format, limits: BatchSettings) -> Steps[int]:
    """Add the increments of a body to an empty batch; returns the number of keys.

    Raises:
        Problem: 400, the body is malformed, does not have the expected form, or breaks a rule.
    """
    data, more = yield from _decode(body, body_format, limits)
    check_count(len(data), "data", limits)
    members = Members(more, body_format, limits, data, "data")
    every = _rules(
        _Options(*map(members.scalar, _Options.__struct_fields__)), _Rules(0, None, None, UNSET, always=False)
    )
    own = yield from own_options(members, _Options, lambda given, *path: _rules(given, every, *path).sent())
    of_others = every.sent()
    rows: list[tuple[Any, ...]] = []
    for position, (key, delta) in enumerate(data.items(), 1):
        rows.append((key, _integer(delta, "the number to add", "data", key), *own.get(key, of_others)))
        if position % STEP_KEYS == 0:
            yield
    groups.add_rows(Operation.INCREMENT, rows, limits, "data")
    return len(rows)


def _decode(body: bytes, body_format: Format, limits: BatchSettings) -> Steps[tuple[Mapping[str, Scalar], Beside]]:
    if not body:
        raise empty_body()
    try:
        if len(body) <= AT_ONCE:
            request = _small[body_format](body)
        else:
            counter = name_counter("data", limits)
            request = _CODERS[body_format](IncrementBody[Name, Scalar], dec_hook=counter).decode(body)
    except Problem:
        raise
    except _ERRORS as error:
        yield
        yield from _blame(body, body_format, error)
    yield
    return request.data, beside(request)


def _blame(body: bytes, body_format: Format, error: Exception) -> Steps[NoReturn]:
    """Refuse a body because of the first number in its data that does not decode, or as a whole."""
    try:
        data = _encoded[body_format](body).data
    except _ERRORS:
        refuse(error, body_format, Kind.INVALID_REQUEST)
    for position, (key, raw) in enumerate(data.items(), 1):
        try:
            _scalars[body_format](raw)
        except _ERRORS as own:
            refuse_member(own, "data", key)
        if position % STEP_KEYS == 0:
            yield
    refuse(error, body_format, Kind.INVALID_REQUEST)


def _rules(given: _Options, every: _Rules, *path: str) -> _Rules:
    expiry = expiry_of(given.ttl, given.expires_at, *path)
    lowest, highest = (
        rule if bound is UNSET else None if bound is None else _integer(bound, f"'{name}'", *path, name)
        for name, bound, rule in (("min", given.min, every.lowest), ("max", given.max, every.highest))
    )
    if lowest is not None and highest is not None and lowest > highest:
        raise invalid("'min' is above 'max'", *path, "min" if given.min is not UNSET else "max")
    return _Rules(
        every.initial if given.initial is UNSET else _integer(given.initial, "'initial'", *path, "initial"),
        lowest,
        highest,
        every.expiry if expiry is UNSET else expiry,
        every.always if given.ttl_on is UNSET else _is_always(given.ttl_on, *path),
    )


def _integer(value: Given, what: str, *path: str) -> int:
    if type(value) is not int or not LOWEST <= value <= HIGHEST:
        raise invalid(f"{what} must be an integer in [-2^63, 2^63)", *path)
    return value


def _is_always(value: Given, *path: str) -> bool:
    if not isinstance(value, str) or value not in _ALWAYS:
        raise invalid('\'ttl_on\' must be "create" or "always"', *path, "ttl_on")
    return _ALWAYS[value]
