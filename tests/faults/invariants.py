"""Rules that hold in every history. Checking them is cheaper than the search, and a failure is easier to understand."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.faults.history import ABSENT, NOTHING_ASKED, NOTHING_TOLD, Action, Ask, Call, Fate


@dataclass(frozen=True, slots=True)
class Breach:
    """A promise that was broken for one key."""

    rule: str
    key: str
    text: str


NEVER_HAPPENS = "what was answered not_applied, or refused, never happens"
NOTHING_FOREIGN = "a value is what somebody wrote under that key"
NOTHING_LOST = "an acknowledged value is there, or was replaced later"

NO_VERSION_TWICE = "a version stands for one state of a key, ever"
NOTHING_REFUSED_AND_DONE = "no retry is refused for its own success, nor done after it was refused"
COUNTED_ONCE = "a counter is the sum of the acknowledged increments, and of some of the unknown ones"

_PLAIN_INCREMENT = (0, None, None, None, None)


def breaches(calls: Sequence[Call]) -> list[Breach]:
    """Every breach in a history. Its last call must read all keys after all other calls have ended."""
    return [
        *_strange_values(calls),
        *_lost(calls),
        *_versions(calls),
        *_contradictions(calls),
        *_counters(calls),
    ]


def _strange_values(calls: Sequence[Call]) -> Iterator[Breach]:
    fates: dict[tuple[str, str], Fate] = {}
    for call in calls:
        if call.action is Action.WRITE:
            fates.update(((key, call.value(key)), fate) for key, fate in call.fates.items())
    for call in calls:
        for key, value in call.seen.items():
            if not isinstance(value, str):
                continue
            fate = fates.get((key, value))
            if fate is None:
                yield Breach(NOTHING_FOREIGN, key, f"call {call.number} read {value}")
            elif fate in {Fate.NEVER, Fate.REFUSED}:
                yield Breach(NEVER_HAPPENS, key, f"call {call.number} read {value}")


def _lost(calls: Sequence[Call]) -> Iterator[Breach]:
    last = calls[-1]
    changes = _changes(calls)
    for key, value in last.seen.items():
        if any(call.action is Action.INCREMENT for call in changes[key]):
            continue
        ends = any(_ask(call, key).ttl_s or _ask(call, key).ends for call in changes[key])
        # The search checks whether a touch or an expiry came in time.
        stored = [call for call in changes[key] if call.action is not Action.TOUCH]
        for call in stored:
            kept = _result(call, key)
            # Another change may have replaced it, unless that change ended before this one began.
            others = (other for other in stored if other is not call)
            replaced = any(_end(other) >= call.called and _result(other, key) == value for other in others)
            over = ends and value is None
            if call.fates[key] is Fate.HAPPENED and value != kept and not replaced and not over:
                yield Breach(NOTHING_LOST, key, f"call {call.number} left {kept}, at the end there was {value}")


def _versions(calls: Sequence[Call]) -> Iterator[Breach]:
    """A version that two changes reported, that had two values, or that was seen again after a later change."""
    sightings: dict[tuple[str, str], list[tuple[Call, str | int | None]]] = defaultdict(list)
    givers: dict[tuple[str, str], Call] = {}
    for call in calls:
        for key, told in call.told.items():
            if told.version is not None:
                sightings[key, told.version].append((call, _shown(call, key)))
                if call.action is not Action.READ and givers.setdefault((key, told.version), call) is not call:
                    yield Breach(NO_VERSION_TWICE, key, f"calls of {told.version}: {call.number} and another")
            if told.current not in {None, ABSENT}:
                sightings[key, str(told.current)].append((call, None))
    changes = _changes(calls)
    for (key, version), found in sightings.items():
        if len({value for _, value in found if value is not None}) > 1:
            yield Breach(NO_VERSION_TWICE, key, f"{version} was seen with several values")
        first, last = min(call.answered for call, _ in found), max(call.called for call, _ in found)
        for change in changes[key]:
            done = change.action is not Action.TOUCH and change.fates[key] is Fate.HAPPENED
            if done and first < change.called and change.answered < last:
                yield Breach(NO_VERSION_TWICE, key, f"{version} was seen before call {change.number} and after it")
                break


def _contradictions(calls: Sequence[Call]) -> Iterator[Breach]:
    for call in calls:
        for key in call.contradicted:
            yield Breach(NOTHING_REFUSED_AND_DONE, key, f"call {call.number}: {call.answers}")


def _counters(calls: Sequence[Call]) -> Iterator[Breach]:
    """Keys without expiry and bounds that were only incremented."""
    for key, changes in _changes(calls).items():
        value = calls[-1].seen.get(key, 0) or 0
        plain = all(call.action is Action.INCREMENT and _limits(call, key) == _PLAIN_INCREMENT for call in changes)
        if not plain or not isinstance(value, int):
            continue
        sums = {sum(_ask(call, key).delta for call in changes if call.fates[key] is Fate.HAPPENED)}
        for call in changes:
            if call.fates[key] is Fate.UNKNOWN:
                sums |= {before + _ask(call, key).delta for before in sums}
        if value not in sums:
            yield Breach(COUNTED_ONCE, key, f"{value} is none of {sorted(sums)[:10]}")


def _limits(call: Call, key: str) -> tuple[int, int | None, int | None, float | None, float | None]:
    ask = _ask(call, key)
    return ask.initial, ask.low, ask.high, ask.ttl_s, ask.ends


def _changes(calls: Sequence[Call]) -> dict[str, list[Call]]:
    """The changes of each key that happened or may have happened."""
    changes: dict[str, list[Call]] = defaultdict(list)
    for call in calls:
        for key, fate in call.fates.items():
            if call.action is not Action.READ and fate in {Fate.HAPPENED, Fate.UNKNOWN}:
                changes[key].append(call)
    return changes


def _ask(call: Call, key: str) -> Ask:
    return call.asks.get(key, NOTHING_ASKED)


def _shown(call: Call, key: str) -> str | int | None:
    """The value that belongs to a version in an answer."""
    if call.action is Action.WRITE:
        return call.value(key)
    return call.seen.get(key, call.told.get(key, NOTHING_TOLD).number)


def _end(call: Call) -> float:
    return max(call.answered, call.latest)


def _result(call: Call, key: str) -> str | None:
    return call.value(key) if call.action is Action.WRITE else None
