"""Histories in the form that Jepsen's checkers read, and back: a JSON array of events, one a line, in order of time.

`{"index": 7, "time": ns, "process": 3, "type": "invoke|ok|fail|info", "f": "write|read|delete", "key": …, "value": …}`

A batch is one event for each of its keys, since a key is the object that must be linearizable. `fail`: it did not
happen. `info`: it may have happened, or may yet. As Jepsen asks, a process has one operation at a time, and none after
an `info`. Beside what Jepsen knows an event may have `found` (whether a delete found the key, where its answer tells),
`latest` (of an `info`: ns past which it cannot happen any more) and `call` (the number of the client's call).
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any

from tests.faults.history import Action, Call, Fate, Op, operations

Event = dict[str, Any]

_NS = 1_000_000_000
_ENDS = {Fate.HAPPENED: "ok", Fate.NEVER: "fail", Fate.UNKNOWN: "info"}


def events(calls: Iterable[Call]) -> list[Event]:
    """A history as events. Of two at the same time an invocation comes first: those operations overlap."""
    found = sorted(_unordered(calls), key=lambda event: (event["time"], event["type"] != "invoke"))
    _give_processes(found)
    for index, event in enumerate(found):
        event["index"] = index
    return found


def write(calls: Iterable[Call], path: Path) -> None:
    """Write a history to a file."""
    lines = ",\n".join(json.dumps(event) for event in events(calls))
    path.write_text(f"[\n{lines}\n]\n")


def read(path: Path) -> list[Event]:
    """The events of a file."""
    found: list[Event] = json.loads(path.read_text())
    return found


def operations_of(history: Sequence[Event]) -> dict[str, list[Op]]:
    """The operations on every key, in seconds, as `history.operations` gives them for the calls themselves."""
    invoked: dict[int, Event] = {}
    by_key: dict[str, list[Op]] = defaultdict(list)
    for event in history:
        if event["type"] == "invoke":
            invoked[event["process"]] = event
            continue
        begin = invoked.pop(event["process"])
        action, optional = Action(event["f"]), event["type"] == "info"
        if event["type"] == "fail" or (optional and action is Action.READ):
            continue
        end: int = event.get("latest") or event["time"]
        by_key[event["key"]].append(
            Op(action, begin["time"] / _NS, end / _NS, event["value"], event.get("found"), optional=optional)
        )
    return dict(by_key)


def _unordered(calls: Iterable[Call]) -> Iterator[Event]:
    for call in calls:
        for key in call.keys:
            common = {"process": call.client, "f": str(call.action), "key": key, "call": call.number}
            value = call.value(key) if call.action is Action.WRITE else None
            yield {**common, "type": "invoke", "time": _ns(call.called), "value": value}
            yield {**common, "time": _ns(call.answered), "value": value, **_end(call, key)}


def _end(call: Call, key: str) -> Event:
    if call.action is Action.READ:
        return {"type": "ok", "value": call.seen[key]} if key in call.seen else {"type": "fail"}
    fate = call.fates[key]
    end: Event = {"type": _ENDS[fate]}
    if fate is Fate.UNKNOWN:
        end["latest"] = _ns(max(call.answered, call.latest))
    if call.action is Action.DELETE and fate is Fate.HAPPENED:
        # What the answer tells of a key is decided in one place.
        (op,) = operations([call])[key]
        if op.found is not None:
            end["found"] = op.found
    return end


def _give_processes(history: Sequence[Event]) -> None:
    """One process for each client and key, and a new one after each `info`."""
    fresh = count()
    processes: dict[tuple[int, str], int] = {}
    for event in history:
        client = (event["process"], event["key"])
        event["process"] = processes[client] if client in processes else processes.setdefault(client, next(fresh))
        if event["type"] == "info":
            del processes[client]


def _ns(seconds: float) -> int:
    return round(seconds * _NS)
