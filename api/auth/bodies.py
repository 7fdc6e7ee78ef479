"""Decodes small bodies with names and passwords, in JSON or MessagePack; a problem points at the fault.

No problem repeats the content of a body.
"""

from __future__ import annotations

import re
from typing import Generic, TypeVar

import msgspec

from api.http.negotiation import Format
from api.http.problems import Kind, Problem, at

T = TypeVar("T", bound=msgspec.Struct)

_NAMES = {Format.JSON: "JSON", Format.MSGPACK: "MessagePack"}
_PLACE = re.compile(r"(.*) - at `(\$\.(\w+)(?:\[(?:\d+|\.\.\.)\])?)`")


class Body(Generic[T]):
    """Decodes bodies of one type."""

    def __init__(self, form: type[T]) -> None:
        self._decoders = {
            Format.JSON: msgspec.json.Decoder(form).decode,
            Format.MSGPACK: msgspec.msgpack.Decoder(form).decode,
        }

    def decode(self, body: bytes, body_format: Format) -> T:
        """Decode a body.

        Raises:
            Problem: 400, it is malformed or does not have the expected form.
        """
        if not body:
            raise Problem(Kind.MALFORMED_BODY, "the body is empty")
        try:
            return self._decoders[body_format](body)
        except msgspec.ValidationError as error:
            place = _PLACE.fullmatch(str(error))
            if place is None:
                raise Problem(Kind.INVALID_REQUEST, str(error)) from None
            raise at(Kind.INVALID_REQUEST, f"{place[1]}, at `{place[2]}`", place[3]) from None
        except UnicodeDecodeError as error:
            detail = f"a text in the {_NAMES[body_format]} body is not UTF-8: {error.reason}"
            raise Problem(Kind.MALFORMED_BODY, detail) from None
        except RecursionError:
            raise Problem(Kind.INVALID_REQUEST, "the body is nested too deep") from None
        except (msgspec.MsgspecError, ValueError) as error:
            raise Problem(Kind.MALFORMED_BODY, f"the body is not {_NAMES[body_format]}: {error}") from None
