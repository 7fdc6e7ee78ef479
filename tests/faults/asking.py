"""Draws the calls of a run's clients at random, and makes their requests. Sends nothing.

The position of a key decides its role, so that a run checks every promise on some keys. Most keys hold texts. Every
eighth is a counter that is only incremented, and another eighth are counters with bounds and expiry, which are also
deleted and overwritten.
"""

from __future__ import annotations

import json
import random
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from os.path import commonprefix
from typing import Any

from tests.faults.history import ABSENT, PRESENT, Action, Ask, Call

BATCH = 6
LONG_S = 3600.0
SHORT_S = (0.2, 1.5)
"""Range of expiries, in seconds: some keys expire while the load runs."""

_EVERY, _SUM, _BOUNDED = 8, 3, 7


@dataclass(frozen=True)
class Mix:
    """The mix of calls: weights of the actions, the share of batches, and that of changes with an `Idempotency-Key`."""

    write: float = 0.4
    read: float = 0.35
    delete: float = 0.1
    increment: float = 0.1
    touch: float = 0.05
    batches: float = 0.3
    keyed: float = 0.3
    conditional: float = 0.4
    """Of writes and deletes."""
    ending: float = 0.4
    """Of writes, and of increments of counters that may expire."""
    again: float = 0.15
    """Of changes with an `Idempotency-Key`: they are sent again after they have ended."""
    scans: float = 0.1
    """Of reads, if there are batches: they scan all keys."""


PLAIN = Mix(increment=0, touch=0, conditional=0, ending=0, scans=0)
"""Plain writes, reads and deletes only."""


@dataclass
class Asker:
    """Draws calls for some keys. `versions` are the last versions that answers contained."""

    keys: Sequence[str]
    mix: Mix
    wall_s: float
    """Seconds to add to the history's time to get the time of day."""
    off_s: float = 0.0
    step_s: float = 0.0
    versions: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        parts: dict[int, list[str]] = {_SUM: [], _BOUNDED: [], 0: []}
        for place, key in enumerate(self.keys):
            parts[place % _EVERY if place % _EVERY in parts and self.mix.increment else 0].append(key)
        self._bounded = set(parts[_BOUNDED])
        self._counters = [*parts[_SUM], *parts[_BOUNDED]]
        self._others = [*parts[0], *parts[_BOUNDED]]

    def next(self, client: int, number: int, chance: random.Random) -> Call:
        """The next call of a client."""
        mix = self.mix
        weights = [mix.write, mix.read, mix.delete, mix.increment if self._counters else 0, mix.touch]
        (action,) = chance.choices(list(Action), weights)
        size = chance.randint(2, BATCH) if chance.random() < mix.batches else 1
        every = {Action.READ: self.keys, Action.INCREMENT: self._counters}.get(action, self._others)
        keys = tuple(chance.sample(every, min(size, len(every))))
        call = Call(client, action, keys, time.monotonic(), number, off_s=self.off_s, step_s=self.step_s)
        if action is not Action.READ and chance.random() < mix.keyed:
            call.idempotency_key = secrets.token_hex(16)
        self._ask(call, chance)
        if action is Action.READ and mix.batches and chance.random() < mix.scans:
            call.scan, call.partial, call.keys = True, False, tuple(self.keys)
        return call

    def _ask(self, call: Call, chance: random.Random) -> None:
        mix, asks = self.mix, {}
        conditional, ending = chance.random() < mix.conditional, chance.random() < mix.ending
        for key in call.keys:
            match call.action:
                case Action.WRITE if conditional or ending:
                    condition = self._condition(key, chance) if conditional else None
                    asks[key] = _with_expiry(chance, condition) if ending else Ask(condition)
                case Action.DELETE if conditional:
                    asks[key] = Ask(self._condition(key, chance))
                case Action.INCREMENT if key in self._bounded:
                    asks[key] = _bounded(chance, chance.uniform(*SHORT_S) if ending else None)
                case Action.INCREMENT:
                    asks[key] = Ask(delta=chance.choice([-2, 1, 3, 7]))
                case Action.TOUCH if not asks:
                    asks = dict.fromkeys(call.keys, _with_expiry(chance, None, keeps=False))
        call.asks = {key: ask for key, ask in asks.items() if ask != Ask()}
        if mix.conditional and call.action is Action.READ:
            call.asks_versions, call.partial = chance.random() < 0.6, chance.random() < 0.2
        elif mix.conditional and call.action is Action.WRITE:
            call.asks_versions = chance.random() < (0.6 if call.asks else 0.2)

    def _condition(self, key: str, chance: random.Random) -> str | None:
        known = self.versions.get(key, ABSENT)
        return chance.choice([ABSENT, PRESENT, known, known, None])


def _with_expiry(chance: random.Random, condition: str | None, *, keeps: bool = True) -> Ask:
    short_s = round(chance.uniform(*SHORT_S), 3)
    return chance.choice(
        [
            Ask(condition, ttl_s=short_s),
            Ask(condition, ttl_s=LONG_S),
            Ask(condition, ends=time.monotonic() + chance.choice([short_s, short_s, -1.0])),
            Ask(condition, keep=True) if keeps else Ask(condition),
        ]
    )


def _bounded(chance: random.Random, ttl_s: float | None) -> Ask:
    return Ask(
        delta=chance.choice([-3, 1, 2, 5]),
        initial=chance.choice([0, 10]),
        low=chance.choice([None, 0]),
        high=chance.choice([None, 20]),
        ttl_s=ttl_s if ttl_s is None else round(ttl_s, 3),
        always=ttl_s is not None and chance.random() < 0.3,
    )


def request(call: Call, wall_s: float) -> bytes:
    """The body of a call: the same bytes for each attempt."""
    document: dict[str, Any] = {}
    if call.scan:
        document["prefix"] = commonprefix(call.keys)  # noqa: RUF071 - what they share is to be characters
    elif call.action is Action.WRITE:
        document["data"] = {key: call.value(key) for key in call.keys}
    elif call.action is Action.INCREMENT:
        document["data"] = {key: call.asks[key].delta for key in call.keys}
    else:
        document["keys"] = list(call.keys)
    if call.action is Action.TOUCH:
        document |= _expiry(call.asks.get(call.keys[0], Ask()), wall_s) or {"ttl": None}
    else:
        document |= _options(call, wall_s)
    if call.asks_versions:
        document |= {"with": ["version", "expires_at"]} if call.action is Action.READ else {"return": ["version"]}
    return json.dumps(document | ({"partial": True} if call.partial else {})).encode()


def _options(call: Call, wall_s: float) -> Mapping[str, Any]:
    """What each key asks for. With a single key, the options are those of the batch and those of the key in turn."""
    options = {key: option for key, ask in call.asks.items() if (option := _option(ask, wall_s))}
    for_batch = call.action in {Action.WRITE, Action.DELETE} and len(call.keys) == 1 and call.number % 2
    if options and for_batch:
        return options[call.keys[0]]
    return {"options": options} if options else {}


def _option(ask: Ask, wall_s: float) -> dict[str, Any]:
    option = _expiry(ask, wall_s)
    if ask.condition is not None:
        option["if"] = ask.condition if ask.condition in {ABSENT, PRESENT} else {"version": ask.condition}
    if ask.initial:
        option["initial"] = ask.initial
    if ask.low is not None:
        option["min"] = ask.low
    if ask.high is not None:
        option["max"] = ask.high
    if ask.always:
        option["ttl_on"] = "always"
    return option


def _expiry(ask: Ask, wall_s: float) -> dict[str, Any]:
    if ask.keep:
        return {"ttl": "keep"}
    if ask.ends is not None:
        return {"expires_at": round(ask.ends + wall_s, 3)}
    return {} if ask.ttl_s is None else {"ttl": ask.ttl_s}
