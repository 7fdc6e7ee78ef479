"""Is the history of one key linearizable? Wing and Gong's search with Lowe's memoisation.

After "Testing and verifying concurrent objects" (Wing, Gong, 1993) and "Testing for linearizability" (Lowe, 2017). The
object is a register that can be empty. An operation takes effect at one moment between its call and its answer; the
search looks for an order of such moments that explains every answer, and remembers which sets of operations it has
brought to which state, since how they got there does not matter.

Beyond the textbook: an optional operation (of unknown outcome) may be left out when its time is over.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tests.faults.history import Action, Op

State = str | None


class _Event:
    """The call or the answer of an operation, in a doubly linked list in order of time."""

    __slots__ = ("after", "before", "bit", "is_call", "op", "partner")

    def __init__(self, op: Op, bit: int, *, is_call: bool) -> None:
        self.op = op
        self.bit = bit
        self.is_call = is_call
        self.partner = self
        self.before = self
        self.after: _Event | None = None

    def lift(self) -> None:
        """Take the event out of the list."""
        self.before.after = self.after
        if self.after is not None:
            self.after.before = self.before

    def unlift(self) -> None:
        """Put the event back; in the opposite order of lifting."""
        self.before.after = self
        if self.after is not None:
            self.after.before = self


@dataclass(frozen=True, slots=True)
class Violation:
    """No order explains the history; `stuck` is the operation whose answer the search could not explain."""

    stuck: Op
    around: tuple[Op, ...]
    """The operations that overlap it, in order of their calls."""


def _effect(op: Op, state: State) -> tuple[bool, State]:
    """Whether `op` can take effect in `state`, and the state after it."""
    if op.action is Action.WRITE:
        return True, op.value
    if op.action is Action.READ:
        return op.value == state, state
    return op.found is None or op.found == (state is not None), None


def _linked(ops: Sequence[Op]) -> _Event:
    """The events behind a head. Of events at the same moment calls come first: those operations overlap."""
    events: list[tuple[float, bool, _Event]] = []
    for position, op in enumerate(ops):
        call, answer = _Event(op, 1 << position, is_call=True), _Event(op, 1 << position, is_call=False)
        call.partner, answer.partner = answer, call
        events += [(op.called, False, call), (op.answered, True, answer)]
    events.sort(key=lambda event: event[:2])
    head = last = _Event(ops[0], 0, is_call=True)
    for _, _, event in events:
        last.after, event.before = event, last
        last = event
    return head


class _Search:
    """Depth first, with the steps kept on a stack: (event lifted, state before it)."""

    def __init__(self, ops: Sequence[Op]) -> None:
        self.head = _linked(ops)
        self.done = 0
        self.state: State = None
        self.seen: set[tuple[int, State]] = set()
        self.steps: list[tuple[_Event, State]] = []

    def step(self, event: _Event, state: State) -> bool:
        """Count an operation as done with this state after it, unless that was tried before."""
        mark = (self.done | event.bit, state)
        if mark in self.seen:
            return False
        self.seen.add(mark)
        self.steps.append((event, self.state))
        self.done |= event.bit
        self.state = state
        call = event if event.is_call else event.partner
        call.lift()
        call.partner.lift()
        return True

    def back(self) -> _Event | None:
        """Take the last step back; returns where to go on, None if there is no step left."""
        if not self.steps:
            return None
        event, self.state = self.steps.pop()
        self.done &= ~event.bit
        call = event if event.is_call else event.partner
        call.partner.unlift()
        call.unlift()
        # A call was tried here; behind it others may be. An answer is looked at again, and found to be tried.
        return event.after if event.is_call else event

    def run(self) -> Op | None:
        """None if there is an order; otherwise the operation whose answer was the farthest to be reached."""
        farthest = self.head.op
        reached = float("-inf")
        event = self.head.after
        while self.head.after is not None:
            if event is None:
                raise AssertionError("a list of events ends with an answer")
            if event.is_call:
                possible, state = _effect(event.op, self.state)
                event = self.head.after if possible and self.step(event, state) else event.after
            elif event.op.optional and self.step(event, self.state):
                event = self.head.after
            else:
                if event.op.answered > reached:
                    farthest, reached = event.op, event.op.answered
                event = self.back()
                if event is None:
                    return farthest
        return None


def check(ops: Sequence[Op]) -> Violation | None:
    """Check the history of one key, which is empty at first."""
    if not ops:
        return None
    stuck = _Search(ops).run()
    if stuck is None:
        return None
    around = [op for op in ops if op.called <= stuck.answered and op.answered >= stuck.called]
    return Violation(stuck, tuple(sorted(around, key=lambda op: op.called)))


def check_all(by_key: Mapping[str, Iterable[Op]]) -> dict[str, Violation]:
    """The keys whose histories are not linearizable."""
    verdicts = {key: check(list(ops)) for key, ops in by_key.items()}
    return {key: verdict for key, verdict in verdicts.items() if verdict is not None}
