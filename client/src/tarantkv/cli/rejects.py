"""Writes the rejected lines, each with its number, the reason and its text.

The api lists up to 100 rejected lines of a part and counts the rest. This module finds those by the rules of the api.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

from tarantkv.cli.json_input import parsed
from tarantkv.errors import InvalidValueError
from tarantkv.imports import ImportPart
from tarantkv.models import ImportResult
from tarantkv.wire import packed, packer

MAX_KEY_BYTES = 1024
MAX_VALUE_BYTES = 512 * 1024
MAX_TTL_S = 10 * 366 * 86400
_MEMBERS = {"key", "value", "value_msgpack", "ttl", "expires_at", "if", "version"}
_CONTROL = {"cursor", "end"}


class Rejects:
    """The file of rejected lines; it is created with the first one. Text after `size` is overwritten."""

    def __init__(self, path: str, size: int) -> None:
        self.path = path
        self.size = size
        if os.path.exists(path):
            os.truncate(path, size)

    def add(self, lines: list[dict[str, Any]]) -> None:
        """Write lines."""
        if not lines:
            return
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode("utf-8", "surrogateescape")
        with open(self.path, "ab") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        self.size += len(text)


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
    if not text.strip():
        return None
    found = json.loads(text).get("key")
    return found if isinstance(found, str) else None


def why_rejected(text: bytes) -> tuple[str, str] | None:  # noqa: PLR0911 - one for each rule
    """Code and detail of a line that the api would reject; None for one that it accepts or ignores."""
    if not text.strip():
        return None
    try:
        line = parsed(text)
    except ValueError as error:
        return "invalid_line", f"the line is not JSON: {error}"
    if not isinstance(line, dict):
        return "invalid_line", "the line is no object"
    if "key" not in line:
        if "error" in line or not line.keys() & _CONTROL:
            return "invalid_line", "the line has no 'key'"
        return None
    if not isinstance(line["key"], str) or line.keys() - _MEMBERS or ("value" in line) == ("value_msgpack" in line):
        return "invalid_line", "the line has another form than an item"
    return _of_item(line)


def _of_item(line: dict[str, Any]) -> tuple[str, str] | None:
    size = len(line["key"].encode("utf-8", "surrogatepass"))
    if not 1 <= size <= MAX_KEY_BYTES:
        return "invalid_key", f"the key has {size} bytes, 1 to {MAX_KEY_BYTES} are allowed"
    ttl, expires_at = line.get("ttl"), line.get("expires_at")
    if ("ttl" in line and "expires_at" in line) or (isinstance(ttl, (int, float)) and not 0 < ttl <= MAX_TTL_S):
        return "invalid_expiry", "the expiry is not allowed"
    if "expires_at" in line and (isinstance(expires_at, bool) or not isinstance(expires_at, (int, float))):
        return "invalid_expiry", "the expiry is no number"
    if "value" in line:
        try:
            encoded = packed(packer(), line["value"], line["key"])
        except InvalidValueError as error:
            return "invalid_value", str(error)
        if len(encoded) > MAX_VALUE_BYTES:
            return "too_large", f"the value has {len(encoded)} bytes as MessagePack, {MAX_VALUE_BYTES} are allowed"
    return None
