"""Histories are written for other checkers and read back."""

from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.faults import jepsen
from tests.faults.history import NEVER, Action, Ask, Call, Fate, Told
from tests.faults.linearizability import check_all
from tests.faults.operations import Op, operations

KEYS = ("a", "b")

ASKS = st.builds(
    Ask,
    condition=st.sampled_from([None, "absent", "v1"]),
    ttl_s=st.sampled_from([None, 0.5]),
    delta=st.integers(0, 2),
    high=st.sampled_from([None, 5]),
)
TOLD = st.builds(
    Told,
    version=st.sampled_from([None, "v1"]),
    current=st.sampled_from([None, "absent", "v1"]),
    refusal=st.sampled_from([None, None, "condition_failed"]),
    number=st.sampled_from([None, 1, 2]),
    found=st.sampled_from([None, True, False]),
    ends=st.sampled_from([None, 2.5, NEVER]),
)


@st.composite
def histories(draw: st.DrawFn) -> list[Call]:
    """Calls of three clients on two keys, one after the other for each client, with arbitrary answers."""
    calls: list[Call] = []
    for client in range(3):
        now = 0.0
        for _ in range(draw(st.integers(0, 3))):
            called = now + draw(st.integers(1, 30)) / 10
            now = called + draw(st.integers(1, 30)) / 10
            keys = draw(st.sampled_from([("a",), ("b",), KEYS]))
            call = Call(client, draw(st.sampled_from(list(Action))), keys, called, len(calls) + 1, answered=now)
            fates = {key: draw(st.sampled_from(list(Fate))) for key in keys}
            call.off_s = draw(st.sampled_from([0.0, 0.5]))
            call.told = {key: draw(TOLD) for key in keys}
            if call.action is not Action.READ:
                call.fates = fates
                call.asks = {key: draw(ASKS) for key in keys}
                call.latest = now + draw(st.integers(0, 20)) / 10
                call.deleted = draw(st.sampled_from([None, 0, 1]))
            elif draw(st.booleans()):
                written = [f"{key}={number}" for key in keys for number in range(1, 10)]
                call.seen = {key: draw(st.sampled_from([None, *written])) for key in keys}
            calls.append(call)
    return calls


def beyond(by_key: dict[str, list[Op]]) -> dict[str, list[str]]:
    """What is known of operations without their times, in any order."""
    return {
        key: sorted(repr((op.action, op.value, op.found, op.optional, op.ask, op.told, op.ends)) for op in ops)
        for key, ops in by_key.items()
    }


@settings(max_examples=150, deadline=None)
@given(histories())
def test_a_history_read_back_gives_the_same_verdict(tmp_path_factory: Any, calls: list[Call]) -> None:
    path: Path = tmp_path_factory.mktemp("history") / "history.json"
    jepsen.write(calls, path)
    again = jepsen.operations_of(jepsen.read(path))
    assert {key: len(ops) for key, ops in again.items()} == {key: len(ops) for key, ops in operations(calls).items()}
    assert beyond(again) == beyond(operations(calls))
    assert check_all(again).keys() == check_all(operations(calls)).keys()


@settings(max_examples=150, deadline=None)
@given(histories())
def test_a_process_has_one_operation_at_a_time_and_none_after_an_unknown_outcome(calls: list[Call]) -> None:
    busy: set[int] = set()
    crashed: set[int] = set()
    found = jepsen.events(calls)
    assert [event["index"] for event in found] == list(range(len(found)))
    assert [event["time"] for event in found] == sorted(event["time"] for event in found)
    for event in found:
        process = event["process"]
        assert process not in crashed
        assert (process in busy) == (event["type"] != "invoke")
        (busy.add if event["type"] == "invoke" else busy.discard)(process)
        if event["type"] == "info":
            crashed.add(process)
    assert not busy


def test_an_event_is_in_jepsens_form() -> None:
    write = Call(4, Action.WRITE, ("k",), 1.5, 7, answered=2.0, latest=8.0, fates={"k": Fate.UNKNOWN})
    common = {"process": 0, "f": "write", "key": "k", "value": "k=7", "call": 7}
    assert jepsen.events([write]) == [
        {"index": 0, "time": 1_500_000_000, "type": "invoke", **common},
        {"index": 1, "time": 2_000_000_000, "type": "info", "latest": 8_000_000_000, **common},
    ]


def test_a_read_has_the_value_that_it_saw_and_a_failed_read_has_none() -> None:
    seen = Call(0, Action.READ, ("k",), 1, 1, answered=2, seen={"k": "k=9"})
    failed = Call(0, Action.READ, ("k",), 3, 2, answered=4)
    ends = [event for event in jepsen.events([seen, failed]) if event["type"] != "invoke"]
    assert [(event["type"], event["value"]) for event in ends] == [("ok", "k=9"), ("fail", None)]
