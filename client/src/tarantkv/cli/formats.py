"""Reads the formats that `import` accepts. Each record of the input becomes a line for the api, or is rejected here."""

from __future__ import annotations

import csv
import io
import json
from codecs import BOM_UTF8
from collections.abc import Callable, Iterator, Sequence
from typing import Any, BinaryIO, NamedTuple

from tarantkv.cli.exits import UsageError
from tarantkv.errors import InvalidValueError
from tarantkv.imports import json_line

MAX_LINE_BYTES = 8 * 1024 * 1024
"""The server accepts 16 MiB for a whole part; no line that it stores is longer than this."""


_CURSOR = b'{"cursor":'
_LAST = (b'{"end":', b'{"error":')
"""How the control lines of an export begin. The api rejects the last line of an export that failed."""


class Record(NamedTuple):
    """A line for the api. If it is rejected here, `why` has code and detail, and an empty line takes its number.

    `end` is where the record ends in the input, in bytes; -1 if reading cannot begin there.
    """

    line: bytes
    end: int = -1
    why: tuple[str, str] | None = None
    text: str = ""


class Options(NamedTuple):
    """The options of the command line for lines."""

    keys: tuple[str, ...] = ()
    separator: str = ":"
    ttl: float | None = None
    if_absent: bool = False
    ttl_attribute: str | None = None

    @property
    def changes(self) -> bool:
        """Whether members are added to lines."""
        return self.ttl is not None or self.if_absent

    def line(self, members: dict[str, Any]) -> bytes:
        """A line with the members that are added to all lines.

        Raises:
            InvalidValueError: it cannot be stored.
        """
        if self.ttl is not None and "ttl" not in members and "expires_at" not in members:
            members["ttl"] = self.ttl
        if self.if_absent:
            members.setdefault("if", "absent")
        return json_line(members)

    def record(self, members: dict[str, Any]) -> Record:
        """A record with these members; rejected if it cannot be stored."""
        try:
            return Record(self.line(members))
        except InvalidValueError as error:
            return rejected("invalid_value", str(error), str(members.get("key", "")))


def rejected(code: str, detail: str, text: str = "", end: int = -1) -> Record:
    """A record that is not sent."""
    return Record(b"\n", end, (code, detail), text[:1000])


Reader = Callable[[BinaryIO, Options], Iterator[Record]]


def ndjson(file: BinaryIO, options: Options) -> Iterator[Record]:
    """Lines as `scan` and `export` print them. They are sent unchanged, unless members are added.

    An export that has been cut off behind one of its cursors is told by a line of its own, which is rejected.
    """
    is_whole = True
    at = file.tell() if file.seekable() else -1
    is_first = at <= 0
    while line := file.readline(MAX_LINE_BYTES + 1):
        size = len(line)
        if size > MAX_LINE_BYTES and not line.endswith(b"\n"):
            while (more := file.readline(MAX_LINE_BYTES)) and not more.endswith(b"\n"):
                size += len(more)
            at = -1 if at < 0 else at + size + len(more)
            yield rejected("invalid_line", f"the line has more than {MAX_LINE_BYTES} bytes", end=at)
            continue
        if is_first:
            # Other programs take it for part of the first line, and the api rejects that.
            line = line.removeprefix(BOM_UTF8)
        is_first = False
        at = -1 if at < 0 else at + size
        if line.startswith(_CURSOR):
            is_whole = False
        elif line.startswith(_LAST):
            is_whole = True
        yield Record(_with_members(line, options) if options.changes else line, at)
    if not is_whole:
        yield rejected("export_incomplete", "the input is an export without its last line, so it is incomplete", end=at)


def _with_members(line: bytes, options: Options) -> bytes:
    try:
        members = json.loads(line)
    except (ValueError, RecursionError):
        # The server rejects it and says why.
        return line
    if not isinstance(members, dict) or "key" not in members:
        return line
    try:
        return options.line(members)
    except InvalidValueError:
        return line


def comma_separated(file: BinaryIO, options: Options) -> Iterator[Record]:
    """CSV with a header: one column, or several, make the key; a column `value` alone is the value, otherwise all
    others.
    """
    text = io.TextIOWrapper(file, "utf-8-sig", newline="")
    csv.field_size_limit(MAX_LINE_BYTES)
    rows = csv.DictReader(text, strict=True)
    keys = options.keys or ("key",)
    columns = _columns(rows)
    missing = [name for name in keys if name not in columns]
    if missing:
        has = ", ".join(columns) or "no columns"
        raise UsageError(f"the CSV has no column {missing[0]!r}: name those of the key with --key; it has {has}")
    others = [name for name in columns if name not in keys]
    for row in _each(rows):
        if isinstance(row, Record):
            yield row
        elif None in row or None in row.values():
            yield rejected("invalid_line", "the row has more or fewer fields than the header", str(row))
        else:
            value: Any = row[others[0]] if others == ["value"] else {name: row[name] for name in others}
            yield options.record({"key": options.separator.join(row[name] for name in keys), "value": value})


def _columns(rows: csv.DictReader[str]) -> Sequence[str]:
    """The names in the header.

    Raises:
        UsageError: it cannot be read, or two columns have the same name, so one would be lost.
    """
    try:
        columns = rows.fieldnames or ()
    except csv.Error as error:
        raise UsageError(f"the header of the CSV cannot be read: {error}") from None
    except UnicodeDecodeError:
        # The text is decoded in pieces of some thousand bytes.
        raise UsageError("the CSV is not UTF-8") from None
    twice = sorted(name for name in set(columns) if columns.count(name) > 1)
    if twice:
        raise UsageError(f"the CSV has the column {twice[0]!r} more than once")
    return columns


def _each(rows: csv.DictReader[str]) -> Iterator[dict[Any, Any] | Record]:
    while True:
        try:
            yield next(rows)
        except StopIteration:
            return
        except (csv.Error, UnicodeDecodeError) as error:
            yield rejected("invalid_line", f"line {rows.line_num}: {error}")
            if isinstance(error, UnicodeDecodeError):
                raise UsageError(f"the CSV is not UTF-8 behind line {rows.line_num}") from None


def pairs(file: BinaryIO, options: Options) -> Iterator[Record]:
    """A line with a key and a line with its value, in turn, as `redis-cli --raw hgetall` and the like print them."""
    while key := file.readline(MAX_LINE_BYTES):
        value = file.readline(MAX_LINE_BYTES)
        name = key.rstrip(b"\r\n")
        if not value and not name:
            return
        if not value and not key.endswith(b"\n"):
            yield rejected("invalid_line", "a key without a value ends the input", name.decode("utf-8", "replace"))
            return
        text = value.removesuffix(b"\n").removesuffix(b"\r")
        try:
            members: dict[str, Any] = {"key": name.decode()}
        except UnicodeDecodeError:
            yield rejected("invalid_key", "the key is not UTF-8", name.decode("utf-8", "replace"))
            continue
        try:
            members["value"] = text.decode()
        except UnicodeDecodeError:
            members["value"] = text
        yield options.record(members)


def reader_of(name: str, asked: str | None) -> tuple[str, Reader]:
    """The format that the caller names, or that the file's name shows, and its reader."""
    from tarantkv.cli import foreign

    readers: dict[str, Reader] = {
        "ndjson": ndjson,
        "csv": comma_separated,
        "wrangler": foreign.wrangler,
        "dynamodb": foreign.dynamodb,
        "pairs": pairs,
    }
    plain = name.removesuffix(".gz")
    found = asked or ("csv" if plain.endswith(".csv") else "wrangler" if plain.endswith(".json") else "ndjson")
    if asked is None and name.endswith(".json.gz"):
        # DynamoDB's exports have this name.
        found = "dynamodb"
    return found, readers[found]
