"""The data: keys and their values.

A value follows from its key, so that every answer can be checked, whichever client wrote the key last. Records are the
descriptions of packages in the distribution's own index. If there is no index, records of the same form are generated.
"""

from __future__ import annotations

import hashlib
import random
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from typing import Any

from loadtest.bench.plan import Values

STRING_BYTES = 64
_RECORDS = 4000
_INDEX_TIMEOUT_S = 60
_LISTS = ("Depends", "Recommends", "Suggests", "Tag")
_NUMBERS = ("Installed-Size", "Size")


class Data:
    """Keys and values of one kind; keys are numbered from 0."""

    def __init__(self, kind: Values, count: int, records: Sequence[Any] = ()) -> None:
        self.kind = kind
        self.count = count
        self._records = records

    def key(self, number: int) -> str:
        """The key with a number."""
        return f"{self.kind}:{number:08d}"

    def value(self, number: int) -> Any:
        """The value of the key with a number."""
        if self.kind == "record":
            return self._records[number % len(self._records)]
        return hashlib.blake2b(self.key(number).encode(), digest_size=STRING_BYTES // 2).hexdigest()

    def order(self) -> list[int]:
        """All numbers in mixed order, the same order every time."""
        numbers = list(range(self.count))
        random.Random(self.count).shuffle(numbers)
        return numbers


def records() -> list[dict[str, Any]]:
    """Some thousand records of different sizes, a few hundred bytes to some kilobytes each."""
    if shutil.which("apt-cache"):
        found = list(_packages(_RECORDS))
        if found:
            return found
    return [_made_up(number) for number in range(_RECORDS)]


def _packages(wanted: int) -> Iterator[dict[str, Any]]:
    with subprocess.Popen(["apt-cache", "dumpavail"], stdout=subprocess.PIPE, text=True) as index:  # noqa: S607
        if index.stdout is None:
            return
        lines: list[str] = []
        for line in index.stdout:
            if line.strip():
                lines.append(line.rstrip("\n"))
            elif lines:
                yield record_of(lines)
                lines = []
                wanted -= 1
                if not wanted:
                    break
        index.terminate()


def record_of(lines: Sequence[str]) -> dict[str, Any]:
    """One paragraph of a package index as a record: numbers as numbers, lists as lists, the rest as text."""
    fields: dict[str, str] = {}
    name = ""
    for line in lines:
        if line.startswith((" ", "\t")):
            fields[name] += " " + line.strip()
        else:
            name, _, text = line.partition(":")
            fields[name] = text.strip()
    return {name: _typed(name, text) for name, text in fields.items()}


def _typed(name: str, text: str) -> Any:
    if name in _LISTS:
        return [part.strip() for part in text.split(",")]
    return int(text) if name in _NUMBERS and text.isdecimal() else text


def _made_up(number: int) -> dict[str, Any]:
    chance = random.Random(number)
    words = [hashlib.blake2b(f"{number} {i}".encode(), digest_size=5).hexdigest() for i in range(60)]
    return {
        "Package": words[0],
        "Version": f"{chance.randint(0, 20)}.{chance.randint(0, 99)}",
        "Installed-Size": chance.randint(10, 10**7),
        "Essential": chance.random() < 0.1,
        "Depends": words[1 : chance.randint(3, 20)],
        "Description": " ".join(words[20 : chance.randint(25, 60)]),
        "Checksums": {"size": chance.randint(10**3, 10**8), "sha": words[0] * 4},
    }
