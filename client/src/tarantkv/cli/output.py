"""Writes to standard output: a table on a terminal, otherwise lines of JSON. Keys and values are data.

A terminal gets printable characters only, so keys and values cannot move its cursor or colour anything.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

WIDEST = 60


class Output:
    """Writes records. `as_json`: lines of JSON even on a terminal."""

    def __init__(self, *, as_json: bool) -> None:
        self._terminal = sys.stdout.isatty()
        self.table = self._terminal and not as_json
        self._widths: list[int] = []
        self._columns: Sequence[str] = ()

    def record(self, members: Mapping[str, Any], columns: Sequence[str] | None = None) -> None:
        """Write one record; a table has these `columns`, or all members."""
        self.records([members], columns)

    def records(self, records: Sequence[Mapping[str, Any]], columns: Sequence[str] | None = None) -> None:
        """Write some records."""
        if not records:
            return
        if not self.table:
            sys.stdout.write("".join(self._line(members) for members in records))
            return
        columns = columns or list(dict.fromkeys(name for members in records for name in members))
        rows = [[cell(members[name]) if name in members else "" for name in columns] for members in records]
        if columns != self._columns:
            self._columns = columns
            rows.insert(0, [name.replace("_", " ").upper() for name in columns])
            self._widths = [0] * len(columns)
        self._widths = [max(width, *(len(row[n]) for row in rows)) for n, width in enumerate(self._widths)]
        for row in rows:
            padded = (text.ljust(width) for text, width in zip(row, self._widths, strict=True))
            sys.stdout.write("  ".join(padded).rstrip() + "\n")

    def _line(self, members: Mapping[str, Any]) -> str:
        from tarantkv.imports import json_line

        line = json_line(dict(members)).decode()
        return json.dumps(json.loads(line)) + "\n" if self._terminal else line


def cell(value: Any) -> str:
    """A value as text in a table."""
    if isinstance(value, bytes):
        text = f"{len(value)} bytes"
    elif isinstance(value, str):
        text = value
    else:
        text = json.dumps(value, ensure_ascii=False, default=repr)
    text = printable(text)
    return text if len(text) <= WIDEST else text[: WIDEST - 1] + "…"


def printable(text: str) -> str:
    """The text with printable characters only; others become escapes."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape", "surrogatepass").decode() for one in text)
