"""The shards of a cluster, as the shards themselves announce them in their answers to DESCRIBE.

`TARANTKV_SHARDS` names those that are asked first. In a cluster whose shards are fixed, shards announce nothing, and it
names all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias

Address: TypeAlias = tuple[str, int]

Shards: TypeAlias = Mapping[str, tuple[Address, ...]]
"""The addresses of every shard's instances, by the shard's name."""


def announced(words: Mapping[str, Shards | None]) -> dict[str, tuple[Address, ...]] | None:
    """All shards that the shards of `words` announce together; None if none of them announces anything.

    Instances learn one after another that a shard was added or removed, so one that names fewer shards may be behind: a
    shard exists as long as another one names it. A shard's own answer does not prove that it exists, because it may be
    the last to learn of its removal; but it is the best source of its addresses.
    """
    said = {speaker: word for speaker, word in words.items() if word}
    if not said:
        return None
    found: dict[str, tuple[Address, ...]] = {}
    for speaker in sorted(said):
        for name, addresses in said[speaker].items():
            if name != speaker or len(said) == 1:
                found.setdefault(name, tuple(addresses))
    return {name: tuple(said.get(name, found).get(name, found[name])) for name in sorted(found)}


def in_order(first: Iterable[str], shards: Iterable[str]) -> tuple[str, ...]:
    """The names of `shards`: those of `first` in that order, then the others by name."""
    names = set(shards)
    known = [name for name in first if name in names]
    return (*known, *sorted(names.difference(known)))
