"""Which requests the client repeats and when, and what an error says about each key: the core without a server."""

import pytest
from tarantkv import Policy, errors
from tarantkv.imports import parts
from tarantkv.session import Credentials

from tests.client.scripted import LOST, NOT_SENT, SUCCESS, Reply, Script, ok, problem

PARTLY = problem(503, "shard-unavailable", 2, failed={"a": "not_applied"})


@pytest.mark.parametrize("first", [LOST, NOT_SENT, PARTLY, problem(504, "outcome-unknown", failed={"a": "unknown"})])
def test_a_change_is_repeated_with_the_same_bytes_and_idempotency_key(first: object) -> None:
    script = Script(first, ok())  # type: ignore[arg-type]  # one of the replies above
    script.run(script.calls.write({"a": 1, "b": 2}))
    one, other = script.sent
    assert one.body == other.body
    assert one.headers["idempotency-key"] == other.headers["idempotency-key"]


def test_each_change_has_its_own_idempotency_key_and_a_read_has_none() -> None:
    script = Script(ok({"status": "success", "data": {"a": 1}, "deleted": 1, "touched": 1}))
    for change in (
        script.calls.write({"a": 1}),
        script.calls.delete(["a"]),
        script.calls.touch(["a"], ttl=1),
        script.calls.increment({"a": 1}),
    ):
        script.run(change)
    script.run(script.calls.read(["a"]))
    keys = [request.headers.get("idempotency-key") for request in script.sent]
    assert keys[4] is None
    assert len(set(keys)) == 5


def test_the_client_waits_as_long_as_the_server_asks() -> None:
    script = Script(PARTLY, PARTLY, ok())
    script.run(script.calls.write({"a": 1}))
    assert script.slept == [2.0, 2.0]


def test_waits_grow_and_have_jitter() -> None:
    policy = Policy(first_wait_s=0.1, last_wait_s=0.3, jitter=0.5)
    assert [policy.wait_s(tries, None, lambda: 0.0) for tries in (1, 2, 3, 60)] == [0.1, 0.2, 0.3, 0.3]
    assert policy.wait_s(1, None, lambda: 1.0) == pytest.approx(0.15)
    assert policy.wait_s(1, 2.0, lambda: 1.0) == pytest.approx(3.0)
    # A server that names no wait must not be asked without a pause until the deadline.
    assert policy.wait_s(2, 0.0, lambda: 0.0) == 0.2


def test_the_deadline_covers_all_attempts() -> None:
    script = Script(PARTLY, policy=Policy(deadline_s=7.0))
    with pytest.raises(errors.ShardUnavailableError):
        script.run(script.calls.write({"a": 1}))
    assert script.slept == [2.0, 2.0, 2.0]
    assert script.now <= 107.0


@pytest.mark.parametrize("deadline_s", [0.0, -1.0, 541.0, float("inf"), float("nan")])
def test_no_change_is_repeated_after_its_idempotency_window(deadline_s: float) -> None:
    script = Script(ok())
    (part,) = parts(["{}"], "import-1", 1)
    for refused in (
        lambda: Script(policy=Policy(deadline_s=deadline_s)),
        lambda: script.run(script.calls.increment({"a": 1}, deadline=deadline_s)),
        lambda: script.run(script.calls.import_part(part, deadline_s)),
    ):
        with pytest.raises(errors.InvalidRequestError, match="at most 540 seconds"):
            refused()
    assert not script.sent


def test_no_attempt_may_take_longer_than_the_remaining_time() -> None:
    script = Script(PARTLY, policy=Policy(deadline_s=7.0, attempt_s=6.0))
    script.took = 2.5
    with pytest.raises(errors.ShardUnavailableError):
        script.run(script.calls.write({"a": 1}))
    assert [request.timeout for request in script.sent] == [6.0, 2.5]


def test_an_attempt_with_hardly_any_time_left_is_not_started() -> None:
    script = Script(PARTLY, LOST, policy=Policy(deadline_s=2.01))
    with pytest.raises(errors.ShardUnavailableError):
        script.run(script.calls.write({"a": 1}))
    assert len(script.sent) == 1


@pytest.mark.parametrize(
    "answer",
    [
        problem(400, "invalid-request"),
        problem(403, "forbidden"),
        problem(409, "condition-failed", failed={"a": "condition_failed"}),
        problem(422, "idempotency-key-reused"),
        problem(500, "database-refused", failed={"a": "not_applied"}),
    ],
)
def test_a_request_that_would_fail_again_is_not_repeated(answer: object) -> None:
    script = Script(answer)  # type: ignore[arg-type]  # a reply
    with pytest.raises(errors.TarantKVError):
        script.run(script.calls.write({"a": 1}))
    assert len(script.sent) == 1


@pytest.mark.parametrize("fault", [LOST, NOT_SENT, problem(502, "x"), problem(503, "overloaded", 1)])
def test_a_read_is_repeated_after_every_failure(fault: object) -> None:
    script = Script(fault, ok({"data": {"a": 1}}))  # type: ignore[arg-type]  # a reply
    assert script.run(script.calls.read(["a"])).data == {"a": 1}


def test_an_error_names_failed_keys_and_applied_ones() -> None:
    script = Script(problem(500, "database-refused", failed={"a": "not_applied"}))
    with pytest.raises(errors.DatabaseRefusedError) as caught:
        script.run(script.calls.write({"a": 1, "b": 2}))
    assert caught.value.failed == {"a": "not_applied"}
    assert caught.value.applied == ["b"]
    assert caught.value.request_id == "r-1"


def test_a_change_that_was_never_sent_is_not_applied() -> None:
    script = Script(NOT_SENT, policy=Policy(deadline_s=1.0))
    with pytest.raises(errors.UnreachableError) as caught:
        script.run(script.calls.write({"a": 1, "b": 2}))
    assert caught.value.failed == {"a": "not_applied", "b": "not_applied"}
    assert caught.value.applied == []


def test_a_change_that_was_sent_and_not_answered_is_unknown() -> None:
    script = Script(LOST, policy=Policy(deadline_s=1.0))
    with pytest.raises(errors.ConnectionLostError) as caught:
        script.run(script.calls.write({"a": 1}))
    assert caught.value.failed == {"a": "unknown"}


@pytest.mark.parametrize("last", [NOT_SENT, problem(503, "overloaded", 1), problem(401, "unauthorized")])
def test_after_a_lost_answer_nothing_is_called_not_applied(last: object) -> None:
    script = Script(LOST, last, policy=Policy(deadline_s=3.0))  # type: ignore[arg-type]  # a reply
    with pytest.raises(errors.OutcomeUnknownError) as caught:
        script.run(script.calls.write({"a": 1}))
    assert caught.value.failed == {"a": "unknown"}


def test_a_key_that_one_attempt_has_applied_stays_applied() -> None:
    both = problem(504, "outcome-unknown", failed={"a": "unknown", "b": "unknown"})
    script = Script(PARTLY, both, policy=Policy(deadline_s=4.0))
    with pytest.raises(errors.OutcomeUnknownError) as caught:
        script.run(script.calls.write({"a": 1, "b": 2}))
    assert caught.value.failed == {"a": "unknown"}
    assert caught.value.applied == ["b"]


def test_a_conditional_write_whose_answer_was_lost_gets_its_first_outcome() -> None:
    script = Script(LOST, ok(SUCCESS))
    assert script.run(script.calls.write({"a": 1}, if_="absent")) == {}


def test_an_expired_token_is_replaced_once_and_the_request_keeps_its_idempotency_key() -> None:
    script = Script(problem(401, "unauthorized"), ok({"token": "t2"}), ok(), login=True)
    script.run(script.calls.write({"a": 1}))
    change, login, again = script.sent
    assert login.path == "/api/login"
    assert "authorization" not in login.headers
    assert [change.headers["authorization"], again.headers["authorization"]] == ["Bearer t1", "Bearer t2"]
    assert change.headers["idempotency-key"] == again.headers["idempotency-key"]


def test_without_a_token_the_first_request_is_a_login() -> None:
    script = Script(ok({"token": "t1"}), ok({"data": {}}), token=None, login=True)
    script.run(script.calls.read(["a"]))
    assert [request.path for request in script.sent] == ["/api/login", "/api/read"]


def test_a_refused_login_is_reported_at_once() -> None:
    script = Script(problem(401, "unauthorized"))
    with pytest.raises(errors.UnauthorizedError):
        script.run(script.calls.read(["a"]))
    assert len(script.sent) == 1


def test_credentials_that_were_refused_are_not_sent_again_with_every_call() -> None:
    given = Credentials("ada", "old")
    script = Script(problem(401, "unauthorized", detail="wrong"), token=None)
    script.calls.session.ask = lambda: given
    for _ in range(5):
        with pytest.raises(errors.UnauthorizedError, match="wrong") as caught:
            script.run(script.calls.write({"a": 1}))
        assert caught.value.failed == {"a": "not_applied"}
    assert [request.path for request in script.sent] == ["/api/login"]
    # A caller that asks for a login gets one.
    with pytest.raises(errors.UnauthorizedError):
        script.run(script.calls.login())
    given = Credentials("ada", "new")
    with pytest.raises(errors.UnauthorizedError):
        script.run(script.calls.write({"a": 1}))
    script.now += 31
    with pytest.raises(errors.UnauthorizedError):
        script.run(script.calls.read(["a"]))
    assert len(script.sent) == 4


def test_the_client_does_not_log_in_for_ever_if_every_token_is_refused() -> None:
    def answer(request: object) -> object:
        is_login = getattr(request, "path", "") == "/api/login"
        return ok({"token": f"t{len(script.sent)}"}) if is_login else problem(401, "unauthorized")

    script = Script(answer, login=True)  # type: ignore[arg-type]  # a reply
    with pytest.raises(errors.UnauthorizedError):
        script.run(script.calls.read(["a"]))
    assert len(script.sent) < 10


def test_a_success_without_a_document_is_an_error_of_the_server() -> None:
    script = Script(ok()._replace(headers={"content-type": "text/html"}, body=b"<html>"))
    with pytest.raises(errors.InternalError):
        script.run(script.calls.read(["a"]))


def test_a_request_is_repeated_if_its_success_arrived_incomplete() -> None:
    whole = ok({"data": {"n": 1}})
    script = Script(whole._replace(body=whole.body[:-1]), whole)
    assert script.run(script.calls.increment({"n": 1})) == {"n": 1}
    one, other = script.sent
    assert one.headers["idempotency-key"] == other.headers["idempotency-key"]


@pytest.mark.parametrize("login", [NOT_SENT, LOST, problem(401, "unauthorized"), problem(429, "too-many-logins", 999)])
def test_a_failed_login_does_not_hide_an_attempt_that_may_have_been_applied(login: Reply) -> None:
    script = Script(LOST, problem(401, "unauthorized"), login, login=True, policy=Policy(deadline_s=3.0))
    with pytest.raises(errors.OutcomeUnknownError) as caught:
        script.run(script.calls.write({"a": 1, "b": 2}))
    assert caught.value.failed == {"a": "unknown", "b": "unknown"}


def test_a_first_login_that_fails_names_every_key() -> None:
    script = Script(problem(401, "unauthorized"), token=None, login=True)
    with pytest.raises(errors.UnauthorizedError) as caught:
        script.run(script.calls.write({"a": 1, "b": 2}))
    assert caught.value.failed == {"a": "not_applied", "b": "not_applied"}


def test_parts_that_could_be_sent_only_after_the_deadline_are_not_sent() -> None:
    script = Script(ok(), policy=Policy(deadline_s=3.0, batch_keys=1))
    script.took = 2.0
    with pytest.raises(errors.DeadlinePassedError) as caught:
        script.run(script.calls.write({"a": 1, "b": 2, "c": 3, "d": 4}))
    assert caught.value.applied == ["a", "b"]
    assert caught.value.failed == {"c": "not_applied", "d": "not_applied"}
    assert len(script.sent) == 2
