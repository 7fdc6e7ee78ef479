"""How a batch is cut, and how the answers and errors of its parts are combined."""

from typing import Any

import pytest
from tarantkv import Policy, errors
from tarantkv.wire import Request, Response, unpacked

from tests.client.scripted import Script, ok, problem

SMALL = Policy(batch_keys=3, batch_bytes=4096)


def test_a_batch_is_cut_by_keys_and_each_part_has_its_own_idempotency_key() -> None:
    script = Script(ok(), policy=SMALL)
    data = {f"k{n}": n for n in range(8)}
    script.run(script.calls.write(data, idempotency_key="mine"))
    assert [list(body["data"]) for body in script.bodies()] == [["k0", "k1", "k2"], ["k3", "k4", "k5"], ["k6", "k7"]]
    assert [request.headers["idempotency-key"] for request in script.sent] == ["mine/1", "mine/2", "mine/3"]


def test_a_batch_is_cut_by_bytes_and_a_larger_value_is_a_part_of_its_own() -> None:
    script = Script(ok(), policy=SMALL)
    data = {"a": "x" * 1500, "b": "x" * 1500, "c": "x" * 9000, "d": 1}
    script.run(script.calls.write(data))
    assert [list(body["data"]) for body in script.bodies()] == [["a", "b"], ["c"], ["d"]]
    assert all(len(request.body) <= 4096 for request in script.sent if b"xxx" * 2000 not in request.body)


def test_options_are_sent_with_their_keys_and_common_ones_with_each_part() -> None:
    script = Script(ok({"status": "success", "versions": {}}), policy=SMALL)
    data = {f"k{n}": n for n in range(4)}
    script.run(script.calls.write(data, ttl=5, versions=True, options={"k3": {"ttl": None}, "k0": {"if": "absent"}}))
    first, second = script.bodies()
    assert first["options"] == {"k0": {"if": "absent"}}
    assert second["options"] == {"k3": {"ttl": None}}
    assert all((body["ttl"], body["return"]) == (5, ["version"]) for body in (first, second))


def test_an_option_of_a_key_that_is_not_in_the_batch_is_refused_before_anything_is_sent() -> None:
    script = Script(ok())
    with pytest.raises(errors.InvalidRequestError, match="'b'"):
        script.run(script.calls.write({"a": 1}, options={"b": {"ttl": 1}}))
    assert not script.sent


def test_a_batch_without_keys_sends_nothing() -> None:
    script = Script(ok())
    assert script.run(script.calls.write({})) == {}
    assert script.run(script.calls.delete([])) == 0
    assert not script.sent


def test_a_key_that_occurs_twice_is_read_once() -> None:
    script = Script(ok({"data": {}}))
    script.run(script.calls.read(["a", "b", "a"]))
    assert script.bodies() == [{"keys": ["a", "b"]}]


@pytest.mark.parametrize(
    ("key", "value"), [("a", {1, 2}), ("a", 2**70), ("a", "\ud800"), ("a", object()), ("\ud800", 1), (7, 1)]
)
def test_a_value_that_cannot_be_sent_is_named_by_its_key(key: Any, value: Any) -> None:
    script = Script(ok())
    with pytest.raises(errors.InvalidRequestError, match=r"key|text"):
        script.run(script.calls.write({key: value}))
    assert not script.sent


def test_the_answers_of_all_parts_become_one() -> None:
    def answer(request: Request) -> Response:
        keys = unpacked(request.body)["keys"]
        return ok({"data": {keys[0]: 1}, "not_found": keys[1:], "meta": {keys[0]: {"version": "v"}}})

    script = Script(answer, policy=SMALL)
    found = script.run(script.calls.read(["a", "b", "c", "d", "e"], with_=["version"]))
    assert found.data == {"a": 1, "d": 1}
    assert found.not_found == ["b", "c", "e"]
    assert found.meta["d"].version == "v"


def test_the_worst_of_several_failures_is_raised_with_the_outcome_of_every_key() -> None:
    conditions = problem(
        409, "condition-failed", failed={"a": "condition_failed"}, current={"a": {}}, versions={"b": "v1"}
    )
    down = problem(500, "database-refused", failed={"d": "not_applied"})
    fine = ok({"status": "success", "versions": {"g": "v2"}})
    script = Script(conditions, down, fine, policy=SMALL)
    with pytest.raises(errors.DatabaseRefusedError) as caught:
        script.run(script.calls.write(dict.fromkeys("abcdefg", 1), if_="absent", versions=True))
    assert caught.value.failed == {"a": "condition_failed", "d": "not_applied"}
    assert caught.value.applied == ["b", "c", "e", "f", "g"]
    assert caught.value.problem["versions"] == {"b": "v1", "g": "v2"}


def test_no_part_is_sent_after_one_was_refused() -> None:
    script = Script(ok(), problem(403, "forbidden"), policy=SMALL)
    with pytest.raises(errors.ForbiddenError) as caught:
        script.run(script.calls.write({f"k{n}": n for n in range(12)}))
    assert len(script.sent) == 2
    assert caught.value.applied == ["k0", "k1", "k2"]
    assert caught.value.failed == {f"k{n}": "not_applied" for n in range(3, 12)}


def test_a_part_that_is_too_large_for_the_server_is_halved_until_it_fits() -> None:
    def answer(request: Request) -> Response:
        keys = unpacked(request.body)["keys"]
        if len(keys) > 2:
            return problem(413, "answer-too-large")
        return ok({"data": dict.fromkeys(keys, 1)})

    script = Script(answer)
    assert list(script.run(script.calls.read(list("abcdefg"))).data) == list("abcdefg")


def test_halves_of_a_change_have_idempotency_keys_of_their_own() -> None:
    script = Script(problem(413, "body-too-large"), ok())
    script.run(script.calls.write({"a": 1, "b": 2}, idempotency_key="k"))
    assert [request.headers["idempotency-key"] for request in script.sent] == ["k", "ka", "kb"]


def test_a_single_value_that_is_too_large_is_an_error() -> None:
    script = Script(problem(413, "body-too-large"))
    with pytest.raises(errors.TooLargeError):
        script.run(script.calls.write({"a": 1}))
    assert len(script.sent) == 1


@pytest.mark.parametrize("key", ["", "x" * 201, "ä", "a\nb"])
def test_an_idempotency_key_that_the_server_would_refuse_is_refused(key: str) -> None:
    script = Script(ok())
    with pytest.raises(errors.InvalidRequestError):
        script.run(script.calls.write({"a": 1}, idempotency_key=key))


@pytest.mark.parametrize("deadline", [0, -1, 541])
def test_a_deadline_beyond_the_idempotency_window_is_refused(deadline: float) -> None:
    script = Script(ok())
    with pytest.raises(errors.InvalidRequestError, match="540"):
        script.run(script.calls.write({"a": 1}, deadline=deadline))
