"""What clients did and saw: calls as recorded, and the operations on single keys that the checkers look at.

Times are seconds of one monotonic clock. A call is what a client wanted once: its retries under one `Idempotency-Key`
belong to it. Nothing here talks to anybody.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path


class Action(StrEnum):
    """What a call asks for."""

    WRITE = "write"
    READ = "read"
    DELETE = "delete"


class Fate(StrEnum):
    """What is known about a change of one key."""

    HAPPENED = "happened"
    NEVER = "never"
    """It was answered that nothing was applied, or nothing was sent: it must not happen."""
    UNKNOWN = "unknown"
    """It may have happened, may happen until its latest time, or never."""


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
    seen: dict[str, str | None] = field(default_factory=dict)
    """What a read that succeeded found; None: not there."""
    deleted: int | None = None
    """How many keys a delete that succeeded found."""

    @property
    def succeeded(self) -> bool:
        """Whether the last attempt was answered 200."""
        return self.answers[-1] == "200"

    @property
    def undisturbed(self) -> bool:
        """Whether the client saw nothing but a success."""
        return self.answers == ["200"]

    @property
    def wait_s(self) -> float:
        """How long the client waited."""
        return self.answered - self.called

    def value(self, key: str) -> str:
        """What this write stores under `key`: unlike any other value in the history."""
        return f"{key}={self.number}"


@dataclass(frozen=True, slots=True)
class Op:
    """A call's part that concerns one key. `answered` bounds when it takes effect.

    `value` is what a write stores and a read saw (None: nothing). `found` says whether a delete found the key, where
    its answer tells. An `optional` operation may also never take effect.
    """

    action: Action
    called: float
    answered: float
    value: str | None = None
    found: bool | None = None
    optional: bool = False


def combined(fates: Iterable[Fate]) -> Fate:
    """What several attempts under one `Idempotency-Key` say together."""
    all_fates = set(fates)
    if Fate.HAPPENED in all_fates:
        return Fate.HAPPENED
    return Fate.UNKNOWN if Fate.UNKNOWN in all_fates else Fate.NEVER


def operations(calls: Iterable[Call]) -> dict[str, list[Op]]:
    """The operations on every key. Reads that failed and changes that never happened are left out."""
    by_key: dict[str, list[Op]] = defaultdict(list)
    for call in calls:
        if call.action is Action.READ:
            for key, value in call.seen.items():
                by_key[key].append(Op(Action.READ, call.called, call.answered, value))
            continue
        for key, fate in call.fates.items():
            if fate is Fate.NEVER:
                continue
            optional = fate is Fate.UNKNOWN
            end = max(call.answered, call.latest) if optional else call.answered
            if call.action is Action.WRITE:
                by_key[key].append(Op(Action.WRITE, call.called, end, call.value(key), optional=optional))
            else:
                # The answer counts the keys of the whole batch.
                telling = len(call.keys) == 1 and not optional and call.deleted is not None
                found = bool(call.deleted) if telling else None
                by_key[key].append(Op(Action.DELETE, call.called, end, found=found, optional=optional))
    return dict(by_key)


def write_json(calls: Iterable[Call], path: Path) -> None:
    """Write a history as one JSON object a line."""
    path.write_text("".join(json.dumps(asdict(call)) + "\n" for call in calls))
