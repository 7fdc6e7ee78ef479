"""Makes the operations on single keys that the checkers examine from the calls of a history.

Times are seconds of the history's clock. The expiry of a key is known as a window: a `ttl` counts from a moment between
call and answer, and a shard's clock may be wrong.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from tests.faults.history import NEVER, NOTHING_ASKED, NOTHING_TOLD, Action, Ask, Call, Fate, Told

Window = tuple[float, float]
"""The earliest and the latest moment at which a key may expire."""

NEVER_ENDS: Window = (NEVER, NEVER)

ROUNDING_S = 0.005
"""The protocol and the shard use whole milliseconds, and two clocks of one machine are read one after the other."""


@dataclass(frozen=True, slots=True)
class Op:
    """The part of a call that concerns one key. It takes effect before `answered`.

    `value` is what a write stores and a read saw (None: nothing). `found` says whether a delete or a touch found the
    key, where its answer tells. An `optional` operation may also never take effect. `ends` is the expiry that a change
    asks for (None: what the key has) or that a read saw (None: not told).
    """

    action: Action
    called: float
    answered: float
    value: str | int | None = None
    found: bool | None = None
    optional: bool = False
    ask: Ask = NOTHING_ASKED
    told: Told = NOTHING_TOLD
    ends: Window | None = NEVER_ENDS

    def __str__(self) -> str:
        fields = {"value": self.value, "found": self.found, "optional": self.optional or None}
        fields |= {name: value for name, value in asdict(self.ask).items() if value != getattr(NOTHING_ASKED, name)}
        fields |= {name: value for name, value in asdict(self.told).items() if value is not None}
        said = " ".join(f"{name}={value}" for name, value in fields.items() if value is not None)
        return f"{self.called:.3f}..{self.answered:.3f} {self.action} {said}"


def operations(calls: Iterable[Call]) -> dict[str, list[Op]]:
    """The operations on every key. Reads that failed and changes that never happened are left out."""
    by_key: dict[str, list[Op]] = defaultdict(list)
    for call in calls:
        if call.action is Action.READ:
            for key, value in call.seen.items():
                told = call.told.get(key, NOTHING_TOLD)
                by_key[key].append(
                    Op(Action.READ, call.called, call.answered, value, told=told, ends=_seen_end(call, told))
                )
            continue
        for key, fate in call.fates.items():
            if fate is not Fate.NEVER:
                by_key[key].append(_change(call, key, fate))
    return dict(by_key)


def _change(call: Call, key: str, fate: Fate) -> Op:
    optional = fate is Fate.UNKNOWN
    ask, told = call.asks.get(key, NOTHING_ASKED), NOTHING_TOLD if optional else call.told.get(key, NOTHING_TOLD)
    end = max(call.answered, call.latest) if optional else call.answered
    found = told.found
    if call.action is Action.DELETE and fate is Fate.HAPPENED and len(call.keys) == 1 and call.deleted is not None:
        # The answer has the number for the whole batch.
        found = bool(call.deleted)
    value = call.value(key) if call.action is Action.WRITE else None
    window = _asked_end(call, ask, end)
    return Op(call.action, call.called, end, value, found, optional=optional, ask=ask, told=told, ends=window)


def _asked_end(call: Call, ask: Ask, latest: float) -> Window | None:
    if ask.keep:
        return None
    if ask.ends is not None:
        return ask.ends - call.off_s - ROUNDING_S, ask.ends + call.off_s + ROUNDING_S
    if ask.ttl_s is None:
        return NEVER_ENDS
    return call.called + ask.ttl_s - call.step_s - ROUNDING_S, latest + ask.ttl_s + call.step_s + ROUNDING_S


def _seen_end(call: Call, told: Told) -> Window | None:
    if told.ends is None:
        return None
    return told.ends - call.off_s - ROUNDING_S, told.ends + call.off_s + ROUNDING_S
