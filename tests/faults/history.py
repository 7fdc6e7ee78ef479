"""What clients did and saw: the recorded calls. `operations` makes operations on single keys of them.

Times are seconds of one monotonic clock. A call is what a client wanted once: its retries under one `Idempotency-Key`
belong to it. Nothing here talks to anybody.
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
    """What is known about a change of one key."""

    HAPPENED = "happened"
    NEVER = "never"
    """It was answered that nothing was applied, or nothing was sent: it must not happen."""
    REFUSED = "refused"
    """The shard looked at the key and refused: a condition, a bound, or what is stored is no number. That is final."""
    UNKNOWN = "unknown"
    """It may have happened, may still happen until its latest time, or may never happen."""


SERVED = ("200", "409")

ABSENT, PRESENT = "absent", "present"
"""Conditions; any other text is a version that the key must have. `ABSENT` also stands for the version of no key."""

NEVER = 1e12
"""Later than any moment, and a number that JSON has."""


@dataclass(frozen=True, slots=True)
class Ask:
    """What a change asks for one key, beside its value. Of `ttl_s`, `ends` and `keep` one at most is given."""

    condition: str | None = None
    ttl_s: float | None = None
    ends: float | None = None
    """When the key is to be over, in seconds of the history's clock."""
    keep: bool = False
    delta: int = 0
    initial: int = 0
    low: int | None = None
    high: int | None = None
    always: bool = False
    """An increment's `ttl_s` counts each time, and not only where it makes the key."""


@dataclass(frozen=True, slots=True)
class Told:
    """What an answer tells of one key; None where it tells nothing."""

    version: str | None = None
    """That a change gave, or that a read saw."""
    current: str | None = None
    """That made a condition fail; `ABSENT` where there is no key."""
    refusal: str | None = None
    number: int | None = None
    """What an increment made."""
    found: bool | None = None
    ends: float | None = None
    """When the key that a read saw will be over, as `Ask.ends`."""


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
    """The longest wait for one answer; `wait_s` is for all tries together."""
    latest: float = 0.0
    """When a change of unknown fate can happen no more: its deadline, and an allowance for clocks."""
    answers: list[str] = field(default_factory=list)
    fates: dict[str, Fate] = field(default_factory=dict)
    seen: dict[str, str | int | None] = field(default_factory=dict)
    """What a read that succeeded found; None: not there."""
    deleted: int | None = None
    """How many keys a delete that succeeded found."""
    asks: dict[str, Ask] = field(default_factory=dict)
    told: dict[str, Told] = field(default_factory=dict)
    contradicted: tuple[str, ...] = ()
    """Keys of which one attempt says that they were changed, and another that the change was refused."""
    asks_versions: bool = False
    partial: bool = False
    scan: bool = False
    """A read that asks for all keys by their common beginning."""
    document: dict[str, Any] = field(default_factory=dict, repr=False)
    """The last answer's."""
    off_s: float = 0.0
    """How far the clock of a shard may be from this history's."""
    step_s: float = 0.0
    """How far it may be set off while a key lives."""

    @property
    def succeeded(self) -> bool:
        """Whether the last attempt was served. A failed condition counts as served, too."""
        return self.answers[-1] in SERVED

    @property
    def undisturbed(self) -> bool:
        """Whether the client saw nothing but a success."""
        return len(self.answers) == 1 and self.succeeded

    @property
    def kind(self) -> str:
        """The action and what it asks for beyond it, for counting."""
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
        """What this write stores under `key`: unlike any other value in the history."""
        return f"{key}={self.number}"


def combined(fates: Iterable[Fate]) -> Fate:
    """What several attempts under one `Idempotency-Key` say together."""
    all_fates = set(fates)
    return next(fate for fate in (Fate.HAPPENED, Fate.REFUSED, Fate.UNKNOWN, Fate.NEVER) if fate in all_fates)


def write_json(calls: Iterable[Call], path: Path) -> None:
    """Write a history as one JSON object a line."""
    path.write_text("".join(json.dumps(asdict(call)) + "\n" for call in calls))
