"""`diff`: compares two exports, for example after all data was moved from one cluster to another."""

from __future__ import annotations

import json
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, BinaryIO

from tarantkv.cli.exits import DONE, PART_FAILED, UsageError
from tarantkv.cli.json_input import parsed
from tarantkv.cli.output import Output
from tarantkv.cli.program import say


def diff(asked: Namespace) -> int:
    """Print the differences of two exports: keys, values and expiries. Versions differ between clusters anyway.

    Both are read once, in parallel: their keys have the same order. An expired key that only one of them has is not a
    difference.
    """
    if asked.first == asked.second == "-":
        raise UsageError("only one of the two can be the input")
    counts = {"same": 0, "missing": 0, "added": 0, "changed": 0}
    output = Output(as_json=asked.json)
    with ExitStack() as stack:
        first, second = (_items(_opened(path, stack), path) for path in (asked.first, asked.second))
        for found, key in _differences(first, second):
            counts[found] += 1
            if found != "same" and sum(counts.values()) - counts["same"] <= asked.limit:
                output.records([{"key": key, "is": found}])
    output.record(counts)
    differing = sum(counts.values()) - counts["same"]
    if differing > asked.limit:
        say(f"{differing - asked.limit} more differ: --limit")
    return PART_FAILED if differing else DONE


def _differences(first: Iterator[dict[str, Any]], second: Iterator[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    """Classify each key: `same`, `missing` in the second, `added` there, or `changed`."""
    left, right = next(first, None), next(second, None)
    while left is not None or right is not None:
        order = _order(left, right)
        if left is not None and order < 0:
            if not _is_expired(left):
                yield "missing", left["key"]
            left = next(first, None)
        elif right is not None and order > 0:
            if not _is_expired(right):
                yield "added", right["key"]
            right = next(second, None)
        elif left is not None:
            yield ("same" if _essence(left) == _essence(right) else "changed"), left["key"]
            left, right = next(first, None), next(second, None)


def _order(left: dict[str, Any] | None, right: dict[str, Any] | None) -> int:
    """The order of two items; below 0: the left one comes first."""
    if left is None or right is None:
        return 1 if left is None else -1
    one, other = str(left["key"]).encode(), str(right["key"]).encode()
    return (one > other) - (one < other)


def _essence(item: dict[str, Any] | None) -> str:
    """The compared part of an item, as text: in Python 1, 1.0 and true are equal."""
    return json.dumps({name: value for name, value in (item or {}).items() if name != "version"})


def _is_expired(item: dict[str, Any]) -> bool:
    return "expires_at" in item and float(item["expires_at"]) <= time.time()


def _opened(path: str, stack: ExitStack) -> BinaryIO:
    if path == "-":
        return sys.stdin.buffer
    try:
        return stack.enter_context(open(path, "rb"))
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None


def _items(file: BinaryIO, path: str) -> Iterator[dict[str, Any]]:
    """The items of an export; raises `UsageError` if it is not an export, or incomplete."""
    before, is_whole = b"", False
    for line in file:
        try:
            found = parsed(line)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise UsageError(f"{path} is no export: it has a line that is no object of JSON")
        is_whole = found.get("end") is True
        if "key" in found:
            key = str(found["key"]).encode()
            if key < before:
                raise UsageError(f"{path} is no export: its keys are not in order")
            before = key
            yield found
    if not is_whole:
        raise UsageError(f"{path} is no whole export: its last line does not say so")


COMMANDS: dict[str, Callable[[Namespace], int]] = {"diff": diff}
