"""The recorded calls of clients and their answers. `operations` turns them into operations on single keys.

Times are seconds of one monotonic clock. The retries of a call under one `Idempotency-Key` belong to the call. This
module sends nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any


class Action(StrEnum):
    """What a call asks for."""

    WRITE = "write"
    READ = "read"
    DELETE = "delete"
    INCREMENT = "increment"
    TOUCH = "touch"


class Fate(StrEnum):
    """What is known about the change of one key."""

    HAPPENED = "happened"
    NEVER = "never"
    """The answer said that nothing was applied, or nothing was sent: the change must not happen."""
    REFUSED = "refused"
    """The shard checked the key and refused: for a condition, a bound, or a value that is no number. This is final."""
    UNKNOWN = "unknown"
    """It may have happened, may still happen until its latest time, or may never happen."""


SERVED = ("200", "409")

ABSENT, PRESENT = "absent", "present"
"""Conditions; any other text is a version that the key must have. `ABSENT` also stands for the version of no key."""

NEVER = 1e12
"""Later than any moment, and a number that JSON has."""


@dataclass(frozen=True, slots=True)
class Ask:
    """What a change asks for one key, besides its value. At most one of `ttl_s`, `ends` and `keep` is given."""

    condition: str | None = None
    ttl_s: float | None = None
    ends: float | None = None
    """When the key expires, in seconds of the history's clock."""
    keep: bool = False
    delta: int = 0
    initial: int = 0
    low: int | None = None
    high: int | None = None
    always: bool = False
    """An increment's `ttl_s` applies each time, and not only when it creates the key."""


@dataclass(frozen=True, slots=True)
class Told:
    """What an answer says about one key; None: the answer says nothing about it."""

    version: str | None = None
    """The version that a change gave, or that a read saw."""
    current: str | None = None
    """The version that made a condition fail; `ABSENT` if there is no key."""
    refusal: str | None = None
    number: int | None = None
    """The result of an increment."""
    found: bool | None = None
    ends: float | None = None
    """When the key that a read saw expires, as `Ask.ends`."""


NOTHING_ASKED, NOTHING_TOLD = Ask(), Told()


@dataclass(slots=True)
class Call:
    """One call. `answers` holds the status of each attempt, or how its connection failed."""

    client: int
    action: Action
    keys: tuple[str, ...]
    called: float
    number: int = 0
    idempotency_key: str | None = None
    answered: float = 0.0
    longest_s: float = 0.0
    """The longest wait for one answer; `wait_s` is for all attempts together."""
    latest: float = 0.0
    """After this a change of unknown outcome cannot happen any more: its deadline, and an allowance for clocks."""
    answers: list[str] = field(default_factory=list)
    fates: dict[str, Fate] = field(default_factory=dict)
    seen: dict[str, str | int | None] = field(default_factory=dict)
    """What a successful read found; None: the key is absent."""
    deleted: int | None = None
    """How many keys a successful delete found."""
    asks: dict[str, Ask] = field(default_factory=dict)
    told: dict[str, Told] = field(default_factory=dict)
    contradicted: tuple[str, ...] = ()
    """Keys of which one attempt says that they were changed, and another that the change was refused."""
    asks_versions: bool = False
    partial: bool = False
    scan: bool = False
    """A read that asks for all keys by their common prefix."""
    document: dict[str, Any] = field(default_factory=dict, repr=False)
    """That of the last answer."""
    off_s: float = 0.0
    """How far the clock of a shard may be from this history's."""
    step_s: float = 0.0
    """By how much it may be set wrong while a key lives."""

    @property
    def succeeded(self) -> bool:
        """Whether the last attempt was served. A failed condition counts as served, too."""
        return self.answers[-1] in SERVED

    @property
    def undisturbed(self) -> bool:
        """Whether the client saw only successes."""
        return len(self.answers) == 1 and self.succeeded

    @property
    def kind(self) -> str:
        """The action and its options, for counting."""
        asks = self.asks.values()
        words = [
            "if" if any(ask.condition for ask in asks) else "",
            "ttl" if any(ask.ttl_s or ask.ends or ask.keep for ask in asks) else "",
            "bounds" if any(ask.low is not None or ask.high is not None for ask in asks) else "",
            "version" if self.asks_versions else "",
            "partial" if self.partial else "",
        ]
        return " ".join(["scan" if self.scan else self.action, *filter(None, words)])

    @property
    def wait_s(self) -> float:
        """How long the client waited."""
        return self.answered - self.called

    def value(self, key: str) -> str:
        """What this write stores under `key`: a value that occurs nowhere else in the history."""
        return f"{key}={self.number}"


def combined(fates: Iterable[Fate]) -> Fate:
    """The combined outcome of several attempts under one `Idempotency-Key`."""
    all_fates = set(fates)
    return next(fate for fate in (Fate.HAPPENED, Fate.REFUSED, Fate.UNKNOWN, Fate.NEVER) if fate in all_fates)


def write_json(calls: Iterable[Call], path: Path) -> None:
    """Write a history as one JSON object a line."""
    path.write_text("".join(json.dumps(asdict(call)) + "\n" for call in calls))
