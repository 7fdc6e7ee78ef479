"""What must hold in every history, checked one by one: cheaper than the search, and clearer when it fails."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.faults.history import Action, Call, Fate


@dataclass(frozen=True, slots=True)
class Breach:
    """A promise that was not kept for one key."""

    rule: str
    key: str
    text: str


NEVER_HAPPENS = "what was answered not_applied never happens"
NOTHING_FOREIGN = "a value is what somebody wrote under that key"
NOTHING_LOST = "an acknowledged value is there, or was replaced later"


def breaches(calls: Sequence[Call]) -> list[Breach]:
    """Every breach in a history whose last call reads all keys after all others have ended."""
    return [*_strange_values(calls), *_lost(calls)]


def _strange_values(calls: Sequence[Call]) -> Iterator[Breach]:
    fates: dict[tuple[str, str], Fate] = {}
    for call in calls:
        if call.action is Action.WRITE:
            fates.update(((key, call.value(key)), fate) for key, fate in call.fates.items())
    for call in calls:
        for key, value in call.seen.items():
            if value is None:
                continue
            fate = fates.get((key, value))
            if fate is None:
                yield Breach(NOTHING_FOREIGN, key, f"call {call.number} read {value}")
            elif fate is Fate.NEVER:
                yield Breach(NEVER_HAPPENS, key, f"call {call.number} read {value}")


def _lost(calls: Sequence[Call]) -> Iterator[Breach]:
    last = calls[-1]
    changes: dict[str, list[Call]] = defaultdict(list)
    for call in calls:
        if call.action is not Action.READ:
            for key, fate in call.fates.items():
                if fate is not Fate.NEVER:
                    changes[key].append(call)
    for key, value in last.seen.items():
        happened = [call for call in changes[key] if call.fates[key] is Fate.HAPPENED]
        for call in happened:
            kept = call.value(key) if call.action is Action.WRITE else None
            # Another change may have replaced it unless that one ended before this one began.
            others = (other for other in changes[key] if other is not call)
            replaced = any(_end(other) >= call.called and _result(other, key) == value for other in others)
            if value != kept and not replaced:
                yield Breach(NOTHING_LOST, key, f"call {call.number} left {kept}, at the end there was {value}")


def _end(call: Call) -> float:
    return max(call.answered, call.latest)


def _result(call: Call, key: str) -> str | None:
    return call.value(key) if call.action is Action.WRITE else None
