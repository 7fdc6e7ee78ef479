"""Requests, computed before the load begins and written to files, one in a line, for the generators.

A line is the request's body, a JSON document. The body of an import consists of lines, which end with `LINE_END` in the
file. A line for exports is the query.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import orjson

from loadtest.bench.plan import Combination, Operation
from loadtest.bench.values import Data

Content = dict[str, Any]

LINE_END = b"\x1e"
"""It replaces the line ends of a body, which the generator puts back. JSON never contains this byte."""

TTL_S = 3600
"""The lifetime in seconds of keys that expire: longer than a run."""

MAX_BODIES = 20_000
MAX_FILE_BYTES = 48 * 1024 * 1024
"""The largest file: the generator reads it completely before it starts, and each measurement starts a generator."""


def _keys(data: Data, numbers: list[int]) -> Content:
    return {"keys": [data.key(number) for number in numbers]}


def _pairs(data: Data, numbers: list[int]) -> Content:
    return {"data": {data.key(number): data.value(number) for number in numbers}}


_CONTENT: dict[Operation, Callable[[Data, list[int]], Content]] = {
    "write": _pairs,
    "read": _keys,
    "write-ttl": lambda data, numbers: {**_pairs(data, numbers), "ttl": TTL_S},
    "write-if": lambda data, numbers: {**_pairs(data, numbers), "if": "present"},
    "read-with": lambda data, numbers: {**_keys(data, numbers), "with": ["version"]},
    "increment": lambda data, numbers: {"data": {f"count:{data.key(number)}": 1 for number in numbers}},
    "touch": lambda data, numbers: {**_keys(data, numbers), "ttl": TTL_S},
    "scan": lambda data, numbers: {"start": data.key(numbers[0]), "limit": len(numbers)},
}


def body(data: Data, operation: Operation, numbers: list[int]) -> bytes:
    """One request. Counters have their own keys, because the other keys hold values. A page of a scan and an export
    have as many keys as a batch.
    """
    if operation == "import":
        lines = ({"key": data.key(number), "value": data.value(number)} for number in numbers)
        return LINE_END.join(map(orjson.dumps, lines))
    if operation == "export":
        first = numbers[0]
        return urlencode({"start": data.key(first), "end": data.key(first + len(numbers))}).encode()
    return orjson.dumps(_CONTENT[operation](data, numbers))


def batches(data: Data, size: int) -> Iterator[list[int]]:
    """The numbers of all keys in batches, in mixed order; the last batch is as large as the others."""
    numbers = data.order()
    while len(numbers) < size:
        numbers += numbers
    for start in range(0, len(numbers) - size + 1, size):
        yield numbers[start : start + size]


class BodyFiles:
    """Files of request bodies; each is written when a measurement first needs it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)

    def path(self, data: Data, combination: Combination) -> Path:
        """The file for a combination."""
        path = self._directory / f"{combination.operation}-{combination.values}-{combination.batch}.jsonl"
        if not path.exists():
            size = 0
            with path.open("wb") as file:
                for count, numbers in enumerate(batches(data, combination.batch), start=1):
                    size += file.write(body(data, combination.operation, numbers) + b"\n")
                    if count == MAX_BODIES or size > MAX_FILE_BYTES:
                        break
        return path
