"""The shards of a cluster as the shards themselves announce them, in their answer to DESCRIBE.

`TARANTKV_SHARDS` names those that are asked first. On one machine shards announce nothing, and it names all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias

Address: TypeAlias = tuple[str, int]

Shards: TypeAlias = Mapping[str, tuple[Address, ...]]
"""The addresses of every shard's instances, by the shard's name."""


def announced(words: Mapping[str, Shards | None]) -> dict[str, tuple[Address, ...]] | None:
    """All shards that those of `words` announce together; None where none of them announces anything.

    Instances learn one after the other that a shard has come or gone, so that one which says less may be behind: a
    shard is there as long as another one names it. What it says of itself does not keep it, as it may be the last to
    learn that it has gone, but tells its addresses best.
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
