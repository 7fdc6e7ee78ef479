"""Draws which faults happen and when, only from a seed, so that a run can be repeated. This module starts nothing."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tests.faults.catalogue import FAULTS

AT_ONCE = {1: 0.5, 2: 0.35, 3: 0.15}
"""How many faults there are at the same time, and the probability of each number."""

HOLD_S = (1.0, 9.0)
"""How long faults last: some last longer than any request may take."""

REST_S = (7.0, 10.0)
"""From the end of a strike to the next: load before, recovery, load after, and the checks."""


@dataclass(frozen=True, slots=True)
class Strike:
    """Faults at the same time, by name: `at_s` seconds after the start of the run, for `hold_s` seconds."""

    at_s: float
    hold_s: float
    faults: tuple[str, ...]


def schedule(seed: int, minutes: float) -> tuple[Strike, ...]:
    """The strikes of a run, at least one. Every fault occurs once before any occurs again."""
    chance = random.Random(f"{seed}/{minutes}")
    drawn = _decks(chance)
    strikes: list[Strike] = []
    at_s = 2.0
    while at_s < minutes * 60 or not strikes:
        (number,) = chance.choices(list(AT_ONCE), list(AT_ONCE.values()))
        faults = _compatible(next(drawn) for _ in range(number))
        hold_s = chance.uniform(*HOLD_S)
        strikes.append(Strike(round(at_s, 1), round(hold_s, 1), faults))
        at_s += hold_s + chance.uniform(*REST_S)
    return tuple(strikes)


def pairs_of(first: str, hold_s: float) -> tuple[Strike, ...]:
    """One strike for each pair of a fault with one whose name comes later, so that each pair occurs once."""
    others = (name for name in sorted(FAULTS) if name > first)
    pairs = (_compatible((first, other)) for other in others)
    return tuple(Strike(0.0, hold_s, pair) for pair in pairs if len(pair) > 1)


def _decks(chance: random.Random) -> Iterator[str]:
    while True:
        deck = sorted(FAULTS)
        chance.shuffle(deck)
        yield from deck


def _compatible(names: Iterable[str]) -> tuple[str, ...]:
    """The faults that touch nothing that an earlier one touches."""
    chosen: list[str] = []
    touched: set[str] = set()
    for name in names:
        if not touched & FAULTS[name].touches:
            chosen.append(name)
            touched |= FAULTS[name].touches
    return tuple(chosen)
