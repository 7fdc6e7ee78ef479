"""Writes the rejected lines, each with its number, the reason and its text.

The api lists up to 100 rejected lines of a part and counts the rest. This module finds those by the rules of the api.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator
from math import inf
from typing import Any, TypeAlias

from tarantkv.cli.exits import naming
from tarantkv.cli.json_input import parsed
from tarantkv.imports import ImportPart, is_json
from tarantkv.models import ImportResult
from tarantkv.wire import packed, packer, unpacked

MAX_KEY_BYTES = 1024
MAX_VALUE_BYTES = 512 * 1024
MAX_DEPTH = 128
MAX_TTL_S = 10 * 365 * 86400
LAST_S = 253_402_300_799
_SCALAR = (bool, int, float, str, type(None))
_MEMBERS: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("key", "value_msgpack", "version", "cursor"), (str,)),
    **dict.fromkeys(("ttl", "expires_at"), _SCALAR),
    "if": (str, type(None)),
    "items": (int,),
    "end": (bool,),
}
"""The types of a line's members besides `value` and `error`, which may have any."""

_SPACE = b" \t\r\n"

Why: TypeAlias = tuple[str, str] | None


class Rejects:
    """The file of rejected lines; it is created with the first one. Text after `size` is overwritten."""

    def __init__(self, path: str, size: int) -> None:
        self.path = path
        self.size = size
        if os.path.isfile(path):
            os.truncate(path, size)

    def add(self, lines: list[dict[str, Any]]) -> None:
        """Write lines."""
        if not lines:
            return
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        # Half of a surrogate pair becomes its escape, which JSON has, too.
        encoded = text.encode("utf-8", "backslashreplace")
        with naming(self.path), open(self.path, "ab") as file:
            file.write(encoded)
            file.flush()
            if os.path.isfile(self.path):
                os.fsync(file.fileno())
        self.size += len(encoded)


def rejected_of(part: ImportPart, result: ImportResult) -> list[dict[str, Any]]:
    """The rejected lines of a part, each with its text, as far as they can be found."""
    texts = part.body.split(b"\n")
    listed = [dict(each) for each in result.rejected]
    if result.rejected_more:
        last = max((each["line"] for each in listed), default=part.first_line - 1)
        found = list(_unlisted(texts[:-1], last + 1 - part.first_line, part.first_line))
        listed += found
        if len(found) != result.rejected_more:
            detail = f"{result.rejected_more - len(found)} more lines behind line {last} were rejected"
            listed.append({"line": last + 1, "code": "not_listed", "detail": detail})
            return [each | _text(texts, each["line"] - part.first_line) for each in listed[:-1]] + listed[-1:]
    return [each | _text(texts, each["line"] - part.first_line) for each in listed]


def _text(texts: list[bytes], position: int) -> dict[str, str]:
    return {"text": texts[position].decode("utf-8", "replace")} if 0 <= position < len(texts) else {}


def _unlisted(texts: list[bytes], begin: int, first_line: int) -> Iterator[dict[str, Any]]:
    """The lines from position `begin` on that break a rule, or whose key comes again later."""
    faults = [why_rejected(text) for text in texts]
    last_of: dict[str, int] = {}
    keys: dict[int, str] = {}
    for position, text in enumerate(texts):
        if faults[position] is None and (key := _key(text)) is not None:
            keys[position] = key
            last_of[key] = position
    for position in range(begin, len(texts)):
        fault = faults[position]
        key = keys.get(position)
        if fault is not None:
            yield {"line": first_line + position, "code": fault[0], "detail": fault[1]}
        elif key is not None and last_of[key] != position:
            detail = f"line {first_line + last_of[key]} has the same key, and counts"
            yield {"line": first_line + position, "key": key, "code": "repeated_key", "detail": detail}


def _key(text: bytes) -> str | None:
    if not text.strip(_SPACE):
        return None
    found = json.loads(text).get("key")
    return found if isinstance(found, str) else None


def why_rejected(text: bytes) -> Why:  # noqa: PLR0911 - one for each rule
    """Code and detail of a line that the api would reject; None for one that it accepts or ignores."""
    if not text.strip(_SPACE):
        return None
    try:
        line = parsed(text.decode())
    except ValueError as error:
        return "invalid_line", f"the line is not JSON: {error}"
    if not isinstance(line, dict):
        return "invalid_line", "the line is no object"
    for name, value in line.items():
        kinds = _MEMBERS.get(name)
        if kinds is not None and type(value) not in kinds:
            return "invalid_line", f"{name!r} has another type"
    if line.keys() - _MEMBERS.keys() - {"value", "error"} or line.get("if") not in (None, "absent"):
        return "invalid_line", "the line has another form than an item"
    if "key" in line:
        return _why_not_an_item(line)
    if "error" in line:
        return "export_failed", "the export ended here with an error, so it is incomplete"
    return None if line.keys() & {"cursor", "end"} else ("invalid_line", "the line has no 'key'")


def _why_not_an_item(line: dict[str, Any]) -> Why:
    try:
        size = len(line["key"].encode())
    except UnicodeEncodeError:
        return "invalid_line", "the key has half of a surrogate pair"
    if not 1 <= size <= MAX_KEY_BYTES:
        return "invalid_key", f"the key has {size} bytes, 1 to {MAX_KEY_BYTES} are allowed"
    if line.keys() & {"cursor", "items", "end", "error"} or ("value" in line) == ("value_msgpack" in line):
        return "invalid_line", "the line has another form than an item"
    return _why_no_expiry(line) or _why_no_value(line)


def _why_no_expiry(line: dict[str, Any]) -> Why:
    ttl, expires_at = line.get("ttl"), line.get("expires_at", 0)
    if "ttl" in line and "expires_at" in line:
        return "invalid_expiry", "'ttl' and 'expires_at' exclude each other"
    if ttl is not None and (type(ttl) not in (int, float) or not 0 < ttl <= MAX_TTL_S):
        return "invalid_expiry", f"'ttl' must be above 0 and at most {MAX_TTL_S} seconds"
    if type(expires_at) not in (int, float) or not -inf < expires_at <= LAST_S:
        return "invalid_expiry", f"'expires_at' must be a number, at most {LAST_S}"
    return None


def _why_no_value(line: dict[str, Any]) -> Why:
    try:
        if "value" in line:
            encoded = packed(packer(), line["value"], line["key"])
            can_be_kept = is_json(line["value"]) and not _is_deep(line["value"])
        else:
            encoded = base64.b64decode(line["value_msgpack"], validate=True)
            can_be_kept = not _is_deep(unpacked(encoded))
    except (ValueError, RecursionError) as error:
        return "invalid_value", str(error)
    if not can_be_kept:
        return "invalid_value", "the value cannot be kept"
    if len(encoded) > MAX_VALUE_BYTES:
        return "too_large", f"the value has {len(encoded)} bytes as MessagePack, {MAX_VALUE_BYTES} are allowed"
    return None


def _is_deep(value: Any) -> bool:
    """Whether a value has more levels than the api accepts."""
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        level = [each for each in level if isinstance(each, (dict, list))]
        if not level:
            return False
        level = [inner for each in level for inner in (each.values() if isinstance(each, dict) else each)]
    return True
