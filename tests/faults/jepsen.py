"""Histories in the form that Jepsen's checkers read, and back: a JSON array of events, one a line, in order of time.

`{"index": 7, "time": ns, "process": 3, "type": "invoke|ok|fail|info", "f": "write|read|…", "key": …, "value": …}`

A batch is one event for each of its keys, because a key is the object that must be linearizable. `fail`: it did not
happen. `info`: it may have happened, or may yet. As Jepsen asks, a process has one operation at a time, and none after
an `info`. Beside what Jepsen knows an event may have `found` (whether a delete or a touch found the key, where its
answer tells), `latest` (of an `info`: ns past which it cannot happen any more), `call` (the number of the client's
call), `asked` and `told` (the fields of `Ask` and `Told` that are not as usual), and `ends` (the window in which the
key is over, in seconds; null: as before). A refused change is `ok`, with the `refusal` in `told`.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import count
from pathlib import Path
from typing import Any

from tests.faults.history import NOTHING_ASKED, NOTHING_TOLD, Action, Ask, Call, Fate, Told
from tests.faults.operations import NEVER_ENDS, Op, operations

Event = dict[str, Any]

_NS = 1_000_000_000
_ENDS = {Fate.HAPPENED: "ok", Fate.REFUSED: "ok", Fate.NEVER: "fail", Fate.UNKNOWN: "info"}

_USUAL_END = {Action.READ: None}
"""An `ends` that is left out: a read does not contain it, and a change does not ask for one."""


def events(calls: Iterable[Call]) -> list[Event]:
    """A history as events. Of two events at the same time an invocation comes first, so that the operations overlap."""
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
    """The operations on every key, in seconds, as `history.operations` makes them from the calls themselves."""
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
            Op(
                action,
                begin["time"] / _NS,
                end / _NS,
                event["value"],
                event.get("found"),
                optional=optional,
                ask=Ask(**event.get("asked", {})),
                told=Told(**event.get("told", {})),
                ends=_window(event.get("ends", _USUAL_END.get(action, NEVER_ENDS))),
            )
        )
    return dict(by_key)


def _window(ends: Sequence[float] | None) -> tuple[float, float] | None:
    return None if ends is None else (ends[0], ends[1])


def _unordered(calls: Iterable[Call]) -> Iterator[Event]:
    for call in calls:
        for key in call.keys:
            common = {"process": call.client, "f": str(call.action), "key": key, "call": call.number}
            value = call.value(key) if call.action is Action.WRITE else None
            yield {**common, "type": "invoke", "time": _ns(call.called), "value": value}
            yield {**common, "time": _ns(call.answered), "value": value, **_end(call, key)}


def _end(call: Call, key: str) -> Event:
    if call.action is Action.READ:
        if key not in call.seen:
            return {"type": "fail"}
        return {"type": "ok", "value": call.seen[key], **_beyond(call, key)}
    fate = call.fates[key]
    end: Event = {"type": _ENDS[fate]}
    if fate is Fate.UNKNOWN:
        end["latest"] = _ns(max(call.answered, call.latest))
    if fate is not Fate.NEVER:
        end |= _beyond(call, key)
    return end


def _beyond(call: Call, key: str) -> Event:
    """The fields that Jepsen does not know. One place decides what an answer says about a key."""
    (op,) = operations([call])[key]
    beyond: Event = {} if op.found is None else {"found": op.found}
    if asked := _unusual(asdict(op.ask), asdict(NOTHING_ASKED)):
        beyond["asked"] = asked
    if told := _unusual(asdict(op.told), asdict(NOTHING_TOLD)):
        beyond["told"] = told
    if op.ends != _USUAL_END.get(op.action, NEVER_ENDS):
        beyond["ends"] = op.ends
    return beyond


def _unusual(fields: Mapping[str, Any], usual: Mapping[str, Any]) -> Event:
    return {name: value for name, value in fields.items() if value != usual[name]}


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
