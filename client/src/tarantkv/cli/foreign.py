"""Reads exports of other systems: the JSON of `wrangler kv bulk` and DynamoDB's exports to S3."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, BinaryIO

from tarantkv.cli.exits import UsageError
from tarantkv.cli.formats import MAX_LINE_BYTES, Options, Record, rejected

_PIECE_BYTES = 1024 * 1024
_SPACE = " \t\r\n"
_BLANKS = re.compile(f"[{_SPACE}]*")


def wrangler(file: BinaryIO, options: Options) -> Iterator[Record]:
    """An array of objects with `key`, `value`, and perhaps `base64`, `expiration`, `expiration_ttl`. `metadata` is not
    part of the value, and is left out.
    """
    for element in array_elements(file):
        if not isinstance(element, dict) or not isinstance(element.get("key"), str) or "value" not in element:
            yield rejected("invalid_line", "the element has no 'key' or no 'value'", json.dumps(element))
            continue
        members: dict[str, Any] = {"key": element["key"], "value": element["value"]}
        if element.get("base64"):
            try:
                members["value"] = base64.b64decode(element["value"], validate=True)
            except (binascii.Error, ValueError, TypeError):
                yield rejected("invalid_value", "the value is not base64", element["key"])
                continue
        if element.get("expiration") is not None:
            members["expires_at"] = element["expiration"]
        elif element.get("expiration_ttl") is not None:
            members["ttl"] = element["expiration_ttl"]
        yield options.record(members)


def array_elements(file: BinaryIO) -> Iterator[Any]:
    """The elements of a JSON array, one at a time: the array may be larger than the memory.

    Raises:
        UsageError: the input is not such an array.
    """
    decoder = json.JSONDecoder()
    text, ended = _more(file, "", "utf-8-sig")
    if not text.startswith("["):
        raise UsageError("the input is no JSON array")
    # The text is not cut after each element: that would copy all the rest of it.
    at, separator = _behind_space(text, 1), ""
    while True:
        if not ended and len(text) - at < _PIECE_BYTES:
            text, ended = _more(file, text[at:])
            at = 0
            continue
        if text.startswith("]", at):
            if text[at + 1 :].strip(_SPACE):
                raise UsageError("something follows the array")
            return
        try:
            if not text.startswith(separator, at):
                raise ValueError("a comma is missing")  # noqa: TRY301 - as what the decoder raises
            element, end = decoder.raw_decode(text, _behind_space(text, at + len(separator)))
        except ValueError as error:
            if ended or len(text) - at > MAX_LINE_BYTES:
                raise UsageError(f"the input is no JSON array: {error}") from None
            text, ended = _more(file, text[at:])
            at = 0
            continue
        except RecursionError:
            raise UsageError("an element of the array is nested too deeply") from None
        at, separator = _behind_space(text, end), ","
        yield element


def _behind_space(text: str, at: int) -> int:
    found = _BLANKS.match(text, at)
    return found.end() if found is not None else at


def _more(file: BinaryIO, text: str, encoding: str = "utf-8") -> tuple[str, bool]:
    """The text with some more of the file, and whether the file has ended."""
    piece = file.read(_PIECE_BYTES)
    # A character may be cut: at most three more bytes complete it.
    while piece and _is_cut(piece) and (more := file.read(1)):
        piece += more
    try:
        return (text + piece.decode(encoding)).lstrip(_SPACE), not piece
    except UnicodeDecodeError:
        raise UsageError("the input is not UTF-8") from None


def _is_cut(piece: bytes) -> bool:
    """Whether the last character of a piece continues after it."""
    for back in range(1, min(4, len(piece)) + 1):
        byte = piece[-back]
        if byte < 0x80:
            return False
        if byte >= 0xC0:
            return back < (2 if byte < 0xE0 else 3 if byte < 0xF0 else 4)
    return False


def dynamodb(file: BinaryIO, options: Options) -> Iterator[Record]:
    """Lines of `{"Item": {attribute: {type: value}}}`. The key consists of the attributes that `--key` names; the value
    is an object of the others.
    """
    if not options.keys:
        raise UsageError("say which attributes are the key: --key pk, or --key pk --key sk")
    while line := file.readline(MAX_LINE_BYTES):
        text = line.decode("utf-8", "replace").strip()
        if not text:
            yield Record(b"\n")
            continue
        try:
            attributes = json.loads(text)["Item"]
            item = {name: typed(value) for name, value in attributes.items()}
            key = options.separator.join(_key_part(item.pop(name)) for name in options.keys)
        except KeyError as error:
            yield rejected("invalid_line", f"the line has no {error}", text)
        except (ValueError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
            yield rejected("invalid_value", f"not an item of DynamoDB: {error}", text)
        else:
            members = {"key": key, "value": item}
            expiry = item.get(options.ttl_attribute) if options.ttl_attribute else None
            if isinstance(expiry, (int, float)):
                members["expires_at"] = item.pop(options.ttl_attribute)
            yield options.record(members)


def typed(value: Any) -> Any:  # noqa: PLR0911 - one for each type
    """Convert an attribute of DynamoDB to its value. Sets become arrays.

    Raises:
        ValueError, TypeError, ArithmeticError: it is not an attribute, or a number with more digits than can be stored.
    """
    ((kind, content),) = value.items()
    match kind:
        case "S" | "SS" | "BOOL":
            return content
        case "N":
            return _number(content)
        case "B":
            return base64.b64decode(content, validate=True)
        case "NULL":
            return None
        case "M":
            return {name: typed(member) for name, member in content.items()}
        case "L":
            return [typed(element) for element in content]
        case "NS":
            return [_number(element) for element in content]
        case "BS":
            return [base64.b64decode(element, validate=True) for element in content]
    raise ValueError(f"{kind!r} is no type of an attribute")


def _number(text: str) -> int | float:
    exact = Decimal(text)
    if exact == exact.to_integral_value() and abs(exact) < 2**63:
        return int(exact)
    if Decimal(repr(float(exact))) != exact:
        raise ValueError(f"the number {text} has more digits than can be kept")
    return float(exact)


def _key_part(value: Any) -> str:
    if isinstance(value, bytes):
        raise ValueError("a key cannot be made of bytes")  # noqa: TRY004 - one kind of error for all that is refused
    return value if isinstance(value, str) else json.dumps(value)
