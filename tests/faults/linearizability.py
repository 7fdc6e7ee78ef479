"""Is the history of one key linearizable? Wing and Gong's search with Lowe's memoisation.

After "Testing and verifying concurrent objects" (Wing, Gong, 1993) and "Testing for linearizability" (Lowe, 2017). The
module `model` defines what operations do to a key. An operation takes effect at one moment between its call and its
answer. The search looks for an order of such moments that explains every answer. It remembers which sets of operations
led to which state, because their order does not matter after that.

Two additions: an optional operation (of unknown outcome) may be left out when its time is over, and an operation may
have several effects, because the exact moment when a key expires is not known.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tests.faults.model import State, effects, known_versions
from tests.faults.operations import Op


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
        """Put the event back; in the opposite order of taking out."""
        self.before.after = self
        if self.after is not None:
            self.after.before = self


@dataclass(frozen=True, slots=True)
class Violation:
    """No order explains the history; `stuck` is the operation whose answer the search could not explain."""

    stuck: Op
    around: tuple[Op, ...]
    """The operations that overlap it, in order of their calls."""

    def __str__(self) -> str:
        return f"stuck at {self.stuck}; around it: " + "; ".join(map(str, self.around))


def _linked(ops: Sequence[Op]) -> _Event:
    """The events after a head. Of events at the same moment calls come first, so that the operations overlap."""
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
    """Depth first, with the steps on a stack: (call taken out, state before it, remaining choices at this step)."""

    def __init__(self, ops: Sequence[Op]) -> None:
        self.head = _linked(ops)
        self.known = known_versions(ops)
        self.done = 0
        self.state: State = None
        self.seen: set[tuple[int, State]] = set()
        self.steps: list[tuple[_Event, State, Iterator[tuple[_Event, State]]]] = []
        self.farthest = self.head.op
        self.reached = float("-inf")

    def possible(self) -> Iterator[tuple[_Event, State]]:
        """The calls that may take effect next, with the state after each; or an optional one's end, to leave it out.

        An answer ends the choice: its operation must take effect before all operations that were called later.
        """
        event = self.head.after
        while event is not None and event.is_call:
            for state in effects(event.op, self.state, self.known):
                yield event, state
            event = event.after
        if event is None:
            raise AssertionError("a list of events ends with an answer")
        if event.op.optional:
            yield event.partner, self.state
        elif event.op.answered > self.reached:
            self.farthest, self.reached = event.op, event.op.answered

    def run(self) -> Op | None:
        """None if there is an order; otherwise the operation with the latest answer that the search reached."""
        choices = self.possible()
        while self.head.after is not None:
            for call, state in choices:
                mark = (self.done | call.bit, state)
                if mark not in self.seen:
                    self.seen.add(mark)
                    self.steps.append((call, self.state, choices))
                    self.done |= call.bit
                    self.state = state
                    call.lift()
                    call.partner.lift()
                    choices = self.possible()
                    break
            else:
                if not self.steps:
                    return self.farthest
                call, self.state, choices = self.steps.pop()
                self.done &= ~call.bit
                call.partner.unlift()
                call.unlift()
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
