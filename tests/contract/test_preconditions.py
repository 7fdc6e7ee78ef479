"""`If-Match` and `If-None-Match` of `/api/keys/{key}` (RFC 9110, section 13), and `Idempotency-Key`."""

from itertools import product
from secrets import token_hex

import pytest

from tests.contract.calls import JSON, MSGPACK, Api
from tests.contract.conftest import FreshKeys
from tests.contract.one_key import OneKey
from tests.contract.problems import pointers, problem_of

OLD = '"1"'
"""A tag that no key has."""


@pytest.fixture
def keys(api: Api) -> OneKey:
    return OneKey(api)


@pytest.mark.parametrize("form", ["{}", "W/{}", '"x", {}', ', "x"  ,W/{},', '"x,y",{}', "*"])
def test_a_read_of_a_value_that_the_client_has_gets_304(keys: OneKey, fresh_key: FreshKeys, form: str) -> None:
    key = fresh_key()
    etag = keys.stored(key, {"a": 1})
    answer = keys.get(key, if_none_match=form.format(etag))
    assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", etag)
    assert not {"content-length", "transfer-encoding"} & set(answer.headers)
    assert answer.headers["vary"] == "accept"


def test_a_read_gets_the_value_if_the_client_has_another_one(keys: OneKey, fresh_key: FreshKeys) -> None:
    key = fresh_key()
    old = keys.stored(key, 1)
    new = keys.stored(key, 2)
    assert old != new
    for header in (old, OLD, f"{old}, W/{old}", '""'):
        answer = keys.get(key, if_none_match=header)
        assert (answer.status_code, answer.json()) == (200, 2)
    # Another format is another representation.
    assert keys.get(key, accept=MSGPACK, if_none_match=new).status_code == 200
    packed = keys.get(key, accept=MSGPACK).headers["etag"]
    assert keys.get(key, accept=MSGPACK, if_none_match=packed).status_code == 304
    assert keys.get(key, accept=JSON, if_none_match=packed).status_code == 200
    problem_of(keys.get(fresh_key(), if_none_match="*"), "key-not-found")


def test_a_read_may_require_a_version(keys: OneKey, fresh_key: FreshKeys) -> None:
    key = fresh_key()
    etag = keys.stored(key, 1)
    for header in (etag, f"{OLD}, {etag}", "*"):
        assert keys.get(key, if_match=header).status_code == 200
    # Strong comparison: a weak tag never matches.
    for header in (OLD, f"W/{etag}", etag[:-1] + '-msgpack"'):
        problem_of(keys.get(key, if_match=header), "precondition-failed")
    # If-Match comes first.
    problem_of(keys.get(key, if_match=OLD, if_none_match=etag), "precondition-failed")
    assert keys.get(key, if_match=etag, if_none_match=etag).status_code == 304
    problem_of(keys.get(fresh_key(), if_match="*"), "key-not-found")


def test_a_put_of_a_new_key_is_201_and_never_overwrites(keys: OneKey, fresh_key: FreshKeys) -> None:
    key = fresh_key()
    made = keys.put(key, 1, if_none_match="*")
    assert made.status_code == 201
    version = made.json()["version"]
    problem = problem_of(keys.put(key, 2, if_none_match="*"), "precondition-failed", version)
    assert problem["current"] == {key: {"version": version}}
    assert problem["failed"] == {key: "condition_failed"}
    assert keys.get(key).json() == 1
    assert keys.put(key, 3).status_code == 200


def test_a_put_loses_no_update(keys: OneKey, fresh_key: FreshKeys) -> None:
    key = fresh_key()
    problem = problem_of(keys.put(key, 1, if_match="*"), "precondition-failed", "not there")
    assert problem["current"] == {key: {}}
    first = keys.stored(key, 1)
    second = keys.stored(key, 2, if_match=first)
    problem_of(keys.put(key, 3, if_match=first), "precondition-failed", second.strip('"'))
    problem_of(keys.put(key, 3, if_match=f"W/{second}"), "precondition-failed")
    third = keys.stored(key, 3, if_match=f'{first}, {OLD}, W/{second}, {second}, "no-version"')
    # A PUT in JSON accepts the tag of a value that was read as MessagePack.
    fourth = keys.stored(key, 4, if_match=third[:-1] + '-msgpack"')
    keys.stored(key, 5, if_match="*")
    problem_of(keys.put(key, 6, if_match=f"{first}, {fourth}"), "precondition-failed")
    assert keys.get(key).json() == 5


def test_a_delete_may_require_a_version(keys: OneKey, fresh_key: FreshKeys) -> None:
    key = fresh_key()
    problem_of(keys.delete(key), "key-not-found", "not there")
    # Without the header the answer would be 404, so the precondition is not evaluated.
    problem_of(keys.delete(key, if_match="*"), "key-not-found")
    problem_of(keys.delete(key, if_match=OLD), "key-not-found")
    problem_of(keys.delete(key, if_none_match="*"), "key-not-found")
    etag = keys.stored(key, 1)
    problem_of(keys.delete(key, if_match=OLD), "precondition-failed", etag.strip('"'))
    problem_of(keys.delete(key, if_none_match="*"), "precondition-failed")
    assert keys.delete(key, if_match=f"{OLD}, {etag}").json() == {"status": "success", "deleted": 1}
    problem_of(keys.get(key), "key-not-found")


NO_LISTS = ("6b2", '"6b2', 'w/"6b2"', "*, *", '"a" "b"', '"a", *', ",", '"a b"', "W/")


def test_a_precondition_that_is_not_a_list_of_tags_is_refused(keys: OneKey) -> None:
    for method, header, value in product(("GET", "PUT", "DELETE"), ("if-match", "if-none-match"), NO_LISTS):
        answer = keys.ask(method, "x", b"1" if method == "PUT" else None, {header: value})
        problem = problem_of(answer, "invalid-header", header)
        assert pointers(problem) == [f"#/{header}"], value


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_preconditions_that_no_shard_can_evaluate_are_refused(keys: OneKey, method: str) -> None:
    body = b"1" if method == "PUT" else None
    nine = ", ".join(f'"{number}"' for number in range(1, 10))
    problem_of(keys.ask(method, "x", body, {"if-match": nine}), "invalid-header", "8 are allowed")
    problem_of(keys.ask(method, "x", body, {"if-none-match": OLD}), "invalid-header", "only be *")
    both = {"if-match": OLD, "if-none-match": "*"}
    problem_of(keys.ask(method, "x", body, both), "invalid-header", "exclude")


def test_the_same_request_under_an_idempotency_key_is_applied_once(
    api: Api, keys: OneKey, fresh_key: FreshKeys
) -> None:
    key, once = fresh_key(), {"idempotency_key": token_hex(16), "if_none_match": "*"}
    first = keys.put(key, 1, **once)
    assert first.status_code == 201
    api.write({key: 2})
    again = keys.put(key, 1, **once)
    assert (again.status_code, again.content, again.headers["etag"]) == (201, first.content, first.headers["etag"])
    assert keys.get(key).json() == 2
    # Another body, condition, expiry or method is another request.
    problem_of(keys.put(key, 3, **once), "idempotency-key-reused")
    problem_of(keys.put(key, 1, idempotency_key=once["idempotency_key"]), "idempotency-key-reused")
    problem_of(keys.put(key, 1, "?ttl=5", **once), "idempotency-key-reused")
    problem_of(keys.put(fresh_key(), 1, **once), "idempotency-key-reused")
    problem_of(keys.delete(key, **once), "idempotency-key-reused")


def test_a_precondition_that_failed_once_stays_failed_under_its_idempotency_key(
    keys: OneKey, fresh_key: FreshKeys
) -> None:
    key, once = fresh_key(), {"idempotency_key": token_hex(16), "if_match": f'{OLD}, "2"'}
    keys.stored(key, 1)
    first = problem_of(keys.put(key, 2, **once), "precondition-failed")
    keys.delete(key)
    again = problem_of(keys.put(key, 2, **once), "precondition-failed")
    assert first["current"] == again["current"]


def test_a_put_with_several_tags_is_applied_once_under_an_idempotency_key(keys: OneKey, fresh_key: FreshKeys) -> None:
    key = fresh_key()
    etag = keys.stored(key, 1)
    once = {"idempotency_key": token_hex(16), "if_match": f"{OLD}, {etag}"}
    first = keys.stored(key, 2, **once)
    assert keys.stored(key, 2, **once) == first
    assert keys.get(key).json() == 2


def test_a_repeated_delete_under_an_idempotency_key_gets_the_first_outcome(keys: OneKey, fresh_key: FreshKeys) -> None:
    key, once = fresh_key(), {"idempotency_key": token_hex(16)}
    keys.stored(key, 1)
    assert keys.delete(key, **once).status_code == 200
    assert keys.delete(key, **once).status_code == 200
    absent = {"idempotency_key": token_hex(16)}
    problem_of(keys.delete(key, **absent), "key-not-found")
    keys.stored(key, 1)
    problem_of(keys.delete(key, **absent), "key-not-found")
    problem_of(keys.put(key, 1, idempotency_key="x" * 257), "invalid-header")
