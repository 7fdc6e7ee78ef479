"""The examples of docs/api.md: the content of their blocks, and how an answer is compared with the shown one.

A block is a request (its line, header fields, an empty line, its body), a line `HTTP 200` and the answer's body.
Versions and texts that end in `…` are variables. The first answer with a variable sets its value, and later requests
use it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

_BLOCK = re.compile(r"^```http\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_ANSWER = re.compile(r"^HTTP (\d{3})\n\n", re.MULTILINE)
_VARIABLE = re.compile(r"1a21b4[0-9a-f]{10}|.*…")
_OF_THE_MOMENT = {"request_id", "password", "token"}


@dataclass(frozen=True)
class Example:
    """A request and the answer that the page shows."""

    line: int
    method: str
    target: str
    headers: Mapping[str, str]
    body: str
    status: int
    answer: str


def examples(page: str) -> Iterator[Example]:
    """The examples of a page, in order."""
    for block in _BLOCK.finditer(page):
        request, status, answer = _ANSWER.split(block[1])
        head, _, body = request.strip().partition("\n\n")
        first, *fields = head.splitlines()
        method, target = first.split(" ")
        headers = dict(line.split(": ", 1) for line in fields)
        line = page[: block.start()].count("\n") + 1
        yield Example(line, method, target, headers, body, int(status), answer)


@dataclass
class Variables:
    """The values of the variables, from the answers so far."""

    values: dict[str, str] = field(default_factory=dict)

    def filled(self, text: str) -> str:
        """A request, or a field of its head, with the values of its variables."""
        for shown, value in self.values.items():
            text = text.replace(json.dumps(shown, ensure_ascii=False), json.dumps(value))
        return text

    def compare(self, shown: Any, found: Any, where: str = "") -> None:
        """Check that an answer is as shown.

        Raises:
            AssertionError: it is not; the text names the place.
        """
        if shown == "…" or where.rpartition("/")[2] in _OF_THE_MOMENT:
            return
        if isinstance(shown, dict) and isinstance(found, dict):
            assert list(shown) == list(found) or sorted(shown) == sorted(found), f"{where}: {list(found)}"
            for name, member in shown.items():
                self.compare(member, found[name], f"{where}/{name}")
        elif isinstance(shown, list) and isinstance(found, list):
            assert len(shown) == len(found), f"{where}: {found}"
            for position, (one, other) in enumerate(zip(shown, found, strict=True)):
                self.compare(one, other, f"{where}/{position}")
        elif isinstance(shown, str) and _VARIABLE.fullmatch(shown):
            assert self.values.setdefault(shown, found) == found, f"{where}: {found}, and before {self.values[shown]}"
        elif where.endswith("/expires_at"):
            # An expiry that counts from the request is in the future; any other one is exact.
            assert shown == found or found < shown, f"{where}: {found}"
        else:
            assert (shown, type(shown)) == (found, type(found)), f"{where}: {found}"
