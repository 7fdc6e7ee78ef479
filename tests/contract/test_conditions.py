"""Conditions and versions: `if`, `return`, `with`."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.contract.calls import JSON, MSGPACK, Api
from tests.contract.limits import MAX_BATCH_KEYS
from tests.contract.problems import assert_usable, problem_of

FreshKey = Callable[[], str]

both_formats = pytest.mark.parametrize("as_", [JSON, MSGPACK])


def versions(api: Api, *keys: str, as_: str = JSON) -> dict[str, str]:
    meta = api.done("read", {"keys": keys, "with": ["version"]}, as_)["meta"]
    return {key: members["version"] for key, members in meta.items()}


def write(api: Api, data: dict[str, Any], as_: str = JSON) -> dict[str, str]:
    """Write and return the new versions."""
    answer = api.done("write", {"data": data, "return": ["version"]}, as_)
    assert list(answer) == ["status", "versions"]
    found: dict[str, str] = answer["versions"]
    assert sorted(found) == sorted(data)
    return found


@both_formats
def test_a_write_returns_the_versions_that_a_read_returns(api: Api, fresh_key: FreshKey, as_: str) -> None:
    keys = [fresh_key() for _ in range(20)]
    made = write(api, dict.fromkeys(keys, 1), as_)
    assert versions(api, *keys, as_=as_) == made
    assert all(version.isascii() and 0 < len(version) <= 32 for version in made.values())


def test_every_change_makes_a_version_that_never_recurs(api: Api, fresh_key: FreshKey) -> None:
    key = fresh_key()
    seen = [write(api, {key: 1})[key], write(api, {key: 1})[key]]
    api.write({key: 1})
    seen.append(versions(api, key)[key])
    api.delete(key)
    assert versions(api, key) == {}
    seen.append(write(api, {key: 1})[key])
    api.done("increment", {"data": {key: 0}})
    seen.append(versions(api, key)[key])
    api.done("touch", {"keys": [key], "expires_at": 1})
    seen.append(write(api, {key: 1})[key])
    assert len(set(seen)) == len(seen)


@both_formats
def test_the_keys_of_a_batch_whose_conditions_hold_are_changed(api: Api, fresh_key: FreshKey, as_: str) -> None:
    keys = [fresh_key() for _ in range(7)]
    new, there, right, wrong, gone, free, odd = keys
    old = write(api, {there: 0, right: 0, wrong: 0, odd: 0})
    write(api, {wrong: 1})
    now = versions(api, wrong)[wrong]
    options: dict[str, Any] = {
        there: {"if": "present"},
        right: {"if": {"version": old[right]}, "ttl": 60},
        wrong: {"if": {"version": old[wrong]}},
        gone: {"if": "present"},
        free: {"if": None},
        odd: {"if": {"version": "~no-version~"}},
    }
    body = {"data": dict.fromkeys(keys, as_), "if": "absent", "options": options, "return": ["version"]}
    answer = api.ask("write", body, as_)
    problem = problem_of(answer, "condition-failed")
    assert problem["failed"] == dict.fromkeys((wrong, gone, odd), "condition_failed")
    assert problem["current"] == {wrong: {"version": now}, gone: {}, odd: {"version": old[odd]}}
    assert problem["versions"] == versions(api, new, there, right, free)
    assert sum(reason["keys"] for reason in problem["reasons"]) == 3
    assert {reason["code"] for reason in problem["reasons"]} == {"condition_failed"}
    assert api.read(new, there, right, free, wrong, odd) == {
        **dict.fromkeys((new, there, right, free), as_),
        wrong: 1,
        odd: 0,
    }
    assert api.done("read", {"keys": [right], "with": ["expires_at"]})["meta"][right]["expires_at"]
    assert_usable(api, answer)


@both_formats
def test_a_batch_succeeds_if_all_its_conditions_hold(api: Api, fresh_key: FreshKey, as_: str) -> None:
    key = fresh_key()
    assert api.done("write", {"data": {key: 1}, "if": "absent"}, as_) == {"status": "success"}
    problem = problem_of(api.ask("write", {"data": {key: 2}, "if": "absent"}, as_), "condition-failed")
    assert "versions" not in problem
    found = problem["current"][key]
    assert api.done("write", {"data": {key: 3}, "if": found}, as_) == {"status": "success"}
    problem_of(api.ask("write", {"data": {key: 4}, "if": found}, as_), "condition-failed")
    assert api.read(key) == {key: 3}


@both_formats
def test_a_delete_may_have_conditions(api: Api, fresh_key: FreshKey, as_: str) -> None:
    right, wrong, missing, free, gone = (fresh_key() for _ in range(5))
    made = write(api, {right: 1, wrong: 1, free: 1})
    options: dict[str, Any] = {
        right: {"if": {"version": made[right]}},
        wrong: {"if": "absent"},
        missing: {"if": "absent"},
        gone: {"if": {"version": made[right]}},
    }
    answer = api.ask("delete", {"keys": [right, wrong, missing, free, gone], "options": options}, as_)
    problem = problem_of(answer, "condition-failed")
    assert problem["failed"] == dict.fromkeys((wrong, gone), "condition_failed")
    assert problem["current"] == {wrong: {"version": made[wrong]}, gone: {}}
    assert problem["deleted"] == 2
    assert api.read_document(right, wrong, free)["data"] == {wrong: 1}
    assert api.done("delete", {"keys": [wrong], "if": "present"}, as_) == {"status": "success", "deleted": 1}
    assert api.done("delete", {"keys": [wrong], "if": "absent"}, as_) == {"status": "success", "deleted": 0}


@both_formats
def test_a_batch_of_the_most_keys_has_an_option_for_each(api: Api, fresh_key: FreshKey, as_: str) -> None:
    keys = [fresh_key() for _ in range(MAX_BATCH_KEYS)]
    refused = set(keys[::97])
    options = {key: {"if": "present" if key in refused else "absent", "ttl": 600} for key in keys}
    answer = api.ask("write", {"data": dict.fromkeys(keys, 1), "options": options, "return": ["version"]}, as_)
    problem = problem_of(answer, "condition-failed")
    assert set(problem["failed"]) == set(problem["current"]) == refused
    made = problem["versions"]
    assert set(made) == set(keys) - refused
    exact = {key: {"if": {"version": made[key]}} for key in made}
    assert api.done("delete", {"keys": list(made), "options": exact}, as_)["deleted"] == len(made)


@pytest.mark.direct
def test_metrics_count_keys_whose_conditions_failed(api: Api, fresh_key: FreshKey) -> None:
    key = fresh_key()
    name = 'tarantkv_conditions_failed_total{code="condition_failed",route="/api/write"} '

    def count() -> float:
        lines = [line for line in api.http.get("/metrics").text.splitlines() if line.startswith(name)]
        return float(lines[0].removeprefix(name)) if lines else 0.0

    before = count()
    problem_of(api.ask("write", {"data": {key: 1}, "if": "present"}), "condition-failed")
    assert count() >= before + 1
