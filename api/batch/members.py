"""Decodes the members of a request besides its keys or data, one by one, so that a problem can name the faulty one."""

from __future__ import annotations

from collections.abc import Container, Hashable
from functools import lru_cache
from typing import Any, NoReturn, TypeAlias, TypeVar, cast

import msgspec

from api.batch.bodies import Beside
from api.batch.counted_names import Name, name_counter
from api.batch.refused_body import invalid
from api.batch.steps import AT_ONCE, Steps
from api.http.negotiation import Format
from api.http.problems import Problem
from protocol.settings import BatchSettings

Scalar: TypeAlias = bool | int | float | str | None
"""The types that a member of one value may have. The reader of a member decides which of them it accepts."""

MAX_BYTES = 4096
"""The longest encoded member that holds one value or a few words."""

STEP_KEYS = 1000
"""How many keys' options one step checks."""

T = TypeVar("T")

_ERRORS = (msgspec.MsgspecError, ValueError, RecursionError)
_LONGEST_TEXT = 500
_ANY_SCALAR = "`bool | int | float | str | null`"


class Members:
    """The members of one request. `keys` are the keys of its batch, and `named` is the member with these keys."""

    def __init__(
        self, beside: Beside, body_format: Format, limits: BatchSettings, keys: Container[str], named: str
    ) -> None:
        self._beside = beside
        self._format = body_format
        self._limits = limits
        self._keys = keys
        self._named = named

    def one(self, name: str, kind: type[T]) -> T | msgspec.UnsetType:
        """The value of a member; UNSET if the request does not have it.

        Raises:
            Problem: 400, the value has another type.
        """
        raw = self._beside.get(name)
        if raw is None:
            return msgspec.UNSET
        size = memoryview(raw).nbytes
        if size > MAX_BYTES:
            raise invalid(f"{name!r} has {size} bytes, {MAX_BYTES} are allowed", name)
        return self._decoded(raw, kind, name)

    def scalar(self, name: str) -> Scalar | msgspec.UnsetType:
        """The same for a member of one value."""
        return self.one(name, Scalar)  # type: ignore[arg-type] # a union is a type to the decoder

    def words(self, name: str, known: Container[str]) -> frozenset[str]:
        """The words of a member that is a list of them; an empty set if the request does not have it.

        Raises:
            Problem: 400, it is not such a list, or a word is unknown.
        """
        words = self.one(name, list[str])
        if words is msgspec.UNSET:
            return frozenset()
        for position, word in enumerate(words):
            if word not in known:
                raise invalid(f"{name!r} has no such word: {word[:100]!r}", name, str(position))
        return frozenset(words)

    def options(self, kind: type[T]) -> Steps[dict[str, T]]:
        """The options of each key that `options` names.

        Raises:
            Problem: 400, it has another form, or a key is not in the batch.
        """
        raw = self._beside.get("options")
        if raw is None:
            return {}
        try:
            found: dict[str, T] = self._decoder(raw, kind)(raw)
        except _ERRORS as error:
            yield
            yield from self._blame(raw, kind, error)
        yield
        for key in found:
            if key not in self._keys:
                raise invalid(f"'options' names a key that is not in {self._named!r}", "options", key)
        return found

    def _decoder(self, raw: msgspec.Raw, kind: type) -> Any:
        if memoryview(raw).nbytes <= AT_ONCE:
            return _decoder_of(self._format, dict[str, kind])  # type: ignore[valid-type]
        counter = name_counter("options", self._limits)
        return _coder(self._format)(dict[Name, kind], dec_hook=counter).decode  # type: ignore[valid-type]

    def _blame(self, raw: msgspec.Raw, kind: type, error: Exception) -> Steps[NoReturn]:
        """Refuse options because of the first key whose options do not decode."""
        if isinstance(error, Problem):
            raise error
        try:
            each: dict[str, msgspec.Raw] = self._decoder(raw, msgspec.Raw)(raw)
        except _ERRORS as whole:
            refuse_member(whole, "options")
        for position, (key, own) in enumerate(each.items()):
            self._decoded(own, kind, "options", key)
            if position % STEP_KEYS == 0:
                yield
        refuse_member(error, "options")

    def _decoded(self, raw: msgspec.Raw, kind: type[T], *path: str) -> T:
        try:
            value: T = _decoder_of(self._format, cast("Hashable", kind))(raw)
        except _ERRORS as error:
            refuse_member(error, *path)
        return value


def refuse_member(error: Exception, *path: str) -> NoReturn:
    """Raise the problem of a member at `path` that does not decode."""
    detail, _, within = str(error)[:_LONGEST_TEXT].partition(" - at `$")
    # Which of the types of a single value a member may have, its reader says.
    detail = detail.replace(_ANY_SCALAR, "a single value")
    inner = [part for part in within.rstrip("`").split(".") if part.isidentifier()]
    name = ".".join((path[0], *inner) if len(path) == 1 else inner)
    raise invalid(f"{name}: {detail}" if name else detail, *path, *inner) from None


def _coder(body_format: Format) -> Any:
    return msgspec.json.Decoder if body_format is Format.JSON else msgspec.msgpack.Decoder


@lru_cache(maxsize=64)
def _decoder_of(body_format: Format, kind: Hashable) -> Any:
    return _coder(body_format)(kind).decode
