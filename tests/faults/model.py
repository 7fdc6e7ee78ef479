"""The effect of each operation on one key: the rules of the API, for the search in `linearizability`.

A key is absent, or has a value, a version and an expiry. The model knows only part of that: a version is `UNSEEN` until
an answer contains it, and the expiry is a window. Within the window an operation may find the key or not. Once an
operation has not found it, the key is absent for all later ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import NamedTuple

from tests.faults.history import ABSENT, PRESENT, Action
from tests.faults.operations import NEVER_ENDS, Op, Window

UNSEEN = ""
LOWEST, HIGHEST = -(2**63), 2**63 - 1

CONDITION_FAILED, NOT_A_NUMBER, OUT_OF_RANGE = "condition_failed", "not_a_number", "out_of_range"

Value = str | int
Known = Mapping[str, Value]
"""The values of one key by their version, for versions whose value an answer contained."""


class Stored(NamedTuple):
    """A key that exists."""

    value: Value
    version: str = UNSEEN
    ends: Window = NEVER_ENDS


State = Stored | None


def known_versions(ops: Sequence[Op]) -> dict[str, Value]:
    """The values by version, according to the answers. A version of a key is unique; a value need not be."""
    return {op.told.version: op.value for op in ops if op.told.version is not None and op.value is not None}


def effects(op: Op, state: State, known: Known) -> Iterator[State]:
    """The states that may follow if `op` takes effect in `state`; none if its answer does not allow that."""
    effect = _EFFECTS[op.action]
    if state is None or op.answered < state.ends[0]:
        return effect(op, state, known)
    if op.called >= state.ends[1]:
        return effect(op, None, known)
    return chain(effect(op, state, known), effect(op, None, known))


def _with_version(state: State, version: str, known: Known) -> Iterator[Stored]:
    """The state, if its version may be that one."""
    if state is None:
        return
    if state.version == version:
        yield state
    elif state.version == UNSEEN and known.get(version, state.value) == state.value:
        yield state._replace(version=version)


def _fitting(op: Op, state: State, known: Known) -> Iterator[State]:
    """The state if the condition of `op` holds in it."""
    condition = op.ask.condition
    if condition is None or (condition == ABSENT and state is None) or (condition == PRESENT and state is not None):
        yield state
    elif condition not in {ABSENT, PRESENT}:
        yield from _with_version(state, condition, known)


def _refusing(op: Op, state: State, known: Known) -> Iterator[State]:
    """The state if the condition of `op` does not hold in it and its version is the one in the answer."""
    condition, current = op.ask.condition, op.told.current
    holds = {None: True, ABSENT: state is None, PRESENT: state is not None}
    if holds.get(condition, state is not None and state.version == condition) or current == condition:
        return
    if current is None or (current == ABSENT and state is None):
        yield state
    elif current != ABSENT:
        yield from _with_version(state, current, known)


def _write(op: Op, state: State, known: Known) -> Iterator[State]:
    if op.told.refusal is not None:
        yield from _refusing(op, state, known)
        return
    for found in (state,) if op.ask.condition is None else _fitting(op, state, known):
        kept = NEVER_ENDS if found is None else found.ends
        assert op.value is not None
        yield Stored(op.value, op.told.version or UNSEEN, kept if op.ends is None else op.ends)


def _delete(op: Op, state: State, known: Known) -> Iterator[State]:
    if op.told.refusal is not None:
        yield from _refusing(op, state, known)
        return
    for found in _fitting(op, state, known):
        if op.found is None or op.found == (found is not None):
            yield None


def _read(op: Op, state: State, known: Known) -> Iterator[State]:
    if op.value is None or state is None:
        if op.value is None and state is None:
            yield None
        return
    if op.value != state.value:
        return
    for found in _with_version(state, op.told.version, known) if op.told.version is not None else (state,):
        if op.ends is None:
            yield found
            continue
        first, last = max(found.ends[0], op.ends[0]), min(found.ends[1], op.ends[1])
        if first <= last:
            yield found._replace(ends=(first, last))


def _increment(op: Op, state: State, _: Known) -> Iterator[State]:
    ask, told = op.ask, op.told
    before = ask.initial if state is None else state.value
    refusal, after = NOT_A_NUMBER, 0
    if isinstance(before, int):
        after = before + ask.delta
        refusal = _number_refused(op, before, after)
    if refusal:
        # An increment of unknown outcome that would be refused changes nothing: it is left out instead.
        if told.refusal == refusal:
            yield state
    elif told.refusal is None and told.number in {None, after}:
        fresh = state is None or ask.always
        yield Stored(after, UNSEEN, (op.ends or NEVER_ENDS) if fresh or state is None else state.ends)


def _number_refused(op: Op, before: int, after: int) -> str:
    if not (LOWEST <= before <= HIGHEST and LOWEST <= after <= HIGHEST):
        return OUT_OF_RANGE
    low, high = op.ask.low, op.ask.high
    return CONDITION_FAILED if (low is not None and after < low) or (high is not None and after > high) else ""


def _touch(op: Op, state: State, _: Known) -> Iterator[State]:
    if op.found is not None and op.found != (state is not None):
        return
    yield None if state is None or op.ends is None else state._replace(ends=op.ends)


_EFFECTS = {
    Action.WRITE: _write,
    Action.READ: _read,
    Action.DELETE: _delete,
    Action.INCREMENT: _increment,
    Action.TOUCH: _touch,
}
