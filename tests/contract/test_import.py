"""`POST /api/import`: the forms of lines, and the result of each."""

import base64
import json
from collections.abc import Iterable
from typing import Any

import pytest

from tests.contract.calls import MSGPACK, Api, decoded
from tests.contract.conftest import FreshKeys
from tests.contract.limits import MAX_BATCH_KEYS, MAX_VALUE_BYTES
from tests.contract.problems import assert_usable, pointers, problem_of
from tests.contract.test_export import MEDIA_TYPE, export, items_of

DONE = {"already_there": 0, "rejected": [], "rejected_more": 0}


def lines_of(lines: Iterable[Any]) -> bytes:
    return b"\n".join(line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines)


def imported(api: Api, *lines: Any, query: str = "", **headers: str) -> dict[str, Any]:
    answer = api.post("import" + query, lines_of(lines), {"content-type": MEDIA_TYPE, **headers})
    assert answer.status_code == 200, answer.text[:1000]
    document: dict[str, Any] = decoded(answer)
    return document


def test_lines_are_stored_with_their_options(api: Api, fresh_key: FreshKeys) -> None:
    plain, expiring, gone, binary, late = (fresh_key() for _ in range(5))
    answer = imported(
        api,
        {"key": plain, "value": {"a": [1, 1.0, 2**64 - 1, "ä"]}},
        {"key": expiring, "value": None, "expires_at": 4_102_444_800.25},
        {"key": gone, "value": 1, "expires_at": 1},
        {"key": binary, "value_msgpack": base64.b64encode(b"\xc4\x01\xff").decode(), "ttl": 3600},
        {"key": late, "value": 1, "ttl": None, "if": None},
    )
    assert answer == {"lines": 5, "applied": 5, **DONE}
    assert api.read(plain, late) == {plain: {"a": [1, 1.0, 2**64 - 1, "ä"]}, late: 1}
    assert api.read_raw(binary) == {binary: b"\xc4\x01\xff"}
    found = api.done("read", {"keys": [expiring, gone, binary], "with": ["expires_at"]}, MSGPACK)
    assert found["not_found"] == [gone]
    assert found["meta"][expiring] == {"expires_at": 4_102_444_800.25}
    assert "expires_at" in found["meta"][binary]


def test_a_line_with_the_condition_absent_does_not_change_an_existing_key(api: Api, fresh_key: FreshKeys) -> None:
    there, absent, plain = (fresh_key() for _ in range(3))
    api.write({there: "old", plain: "old"})
    answer = imported(
        api,
        {"key": there, "value": "new", "if": "absent"},
        {"key": absent, "value": "new", "if": "absent", "ttl": 60},
        {"key": plain, "value": "new"},
    )
    assert answer == {"lines": 3, "applied": 2, **DONE, "already_there": 1}
    assert api.read(there, absent, plain) == {there: "old", absent: "new", plain: "new"}


def test_an_export_can_be_imported_unchanged(api: Api, fresh_key: FreshKeys) -> None:
    prefix = fresh_key() + ":"
    data = {f"{prefix}{number}": value for number, value in enumerate([1, b"\xff", {"a": [None]}, "😀", -0.0, 2**63])}
    fresh_key.made += data
    api.write(data, as_=MSGPACK)
    api.done("touch", {"keys": [f"{prefix}0"], "ttl": 3600})
    exported = export(api, prefix=prefix)
    before = api.read_raw(*data)
    items = items_of(exported)
    api.delete(*data)
    answer = imported(api, exported.content)
    assert answer == {"lines": len(data), "applied": len(data), **DONE}
    assert api.read_raw(*data) == before
    again = items_of(export(api, prefix=prefix))
    for item in (*items, *again):
        del item["version"]
    assert again == items


def test_control_lines_and_empty_lines_are_skipped(api: Api, fresh_key: FreshKeys) -> None:
    key = fresh_key()
    body = [{"cursor": "abc", "items": 5}, b"", b"  \r", {"key": key, "value": 1}, {"end": True, "items": 1}, b""]
    assert imported(api, *body) == {"lines": 1, "applied": 1, **DONE}
    assert imported(api, {"end": True, "items": 0}) == {"lines": 0, "applied": 0, **DONE}


def test_each_bad_line_is_rejected_by_its_number_and_the_others_are_stored(api: Api, fresh_key: FreshKeys) -> None:
    good, key, twice = (fresh_key() for _ in range(3))
    bad: list[tuple[Any, str, str | None]] = [
        (b"x", "invalid_line", None),
        (b"[1]", "invalid_line", None),
        (b'"key"', "invalid_line", None),
        (b'{"key": "a", "value": 1', "invalid_line", None),
        (b'{"key": "\xff", "value": 1}', "invalid_line", None),
        ({"value": 1}, "invalid_line", None),
        ({"key": 1, "value": 1}, "invalid_line", None),
        ({"key": key}, "invalid_line", key),
        ({"key": key, "value": 1, "value_msgpack": "AQ=="}, "invalid_line", key),
        ({"key": key, "value": 1, "other": 1}, "invalid_line", None),
        ({"key": key, "value": 1, "if": "present"}, "invalid_line", None),
        ({"key": key, "value": 1, "cursor": "abc"}, "invalid_line", key),
        ({"key": "", "value": 1}, "invalid_key", None),
        ({"key": "ä" * 513, "value": 1}, "invalid_key", None),
        ({"key": key, "value": 1, "ttl": 0}, "invalid_expiry", key),
        ({"key": key, "value": 1, "ttl": "keep"}, "invalid_expiry", key),
        ({"key": key, "value": 1, "ttl": 1, "expires_at": 1}, "invalid_expiry", key),
        ({"key": key, "value": 2**64}, "invalid_value", key),
        (b'{"key": "%b", "value": 1e999}' % key.encode(), "invalid_value", key),
        (b'{"key": "%b", "value": %b}' % (key.encode(), b"[" * 129 + b"]" * 129), "invalid_value", key),
        ({"key": key, "value": "x" * MAX_VALUE_BYTES}, "too_large", key),
        ({"key": key, "value": [0] * (MAX_VALUE_BYTES + 10)}, "too_large", key),
        ({"key": key, "value_msgpack": "A"}, "invalid_value", key),
        ({"key": key, "value_msgpack": ""}, "invalid_value", key),
        ({"key": key, "value_msgpack": "kg=="}, "invalid_value", key),
        ({"key": key, "value_msgpack": "AQE="}, "invalid_value", key),
        ({"key": key, "value_msgpack": "1AEA"}, "invalid_value", key),
        ({"error": {"status": 503}, "cursor": "abc"}, "export_failed", None),
        ({"key": twice, "value": 1}, "repeated_key", twice),
    ]
    lines = [{"key": good, "value": 1}, *(line for line, _, _ in bad), {"key": twice, "value": 2}]
    answer = imported(api, *lines, query="?first_line=170001")
    rejected = [(each["line"], each["code"], each.get("key")) for each in answer.pop("rejected")]
    assert rejected == [(170_002 + number, code, named) for number, (_, code, named) in enumerate(bad)]
    assert answer == {"lines": len(lines), "applied": 2, "already_there": 0, "rejected_more": 0}
    assert api.read(good, twice) == {good: 1, twice: 2}
    assert api.read_document(key)["not_found"] == [key]


def test_the_first_of_many_rejected_lines_are_listed(api: Api) -> None:
    answer = imported(api, *[b"x"] * 1000)
    assert [each["line"] for each in answer["rejected"]] == list(range(1, 101))
    assert (answer["lines"], answer["rejected_more"]) == (1000, 900)


def test_a_repeated_import_under_an_idempotency_key_gets_the_first_outcome(api: Api, fresh_key: FreshKeys) -> None:
    absent, plain = fresh_key(), fresh_key()
    lines = ({"key": absent, "value": 1, "if": "absent"}, {"key": plain, "value": 1}, b"x")
    first = imported(api, *lines, **{"idempotency-key": absent})
    api.write({plain: "changed since"})
    assert imported(api, *lines, **{"idempotency-key": absent}) == first
    assert (first["applied"], first["already_there"]) == (2, 0)
    assert api.read(plain) == {plain: "changed since"}
    other = api.post("import?first_line=2", lines_of(lines), {"content-type": MEDIA_TYPE, "idempotency-key": absent})
    problem_of(other, "idempotency-key-reused")


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("?first_line=", "#/first_line"),
        ("?first_line=-1", "#/first_line"),
        ("?first_line=x", "#/first_line"),
        ("?first_line=1&first_line=1", "#/first_line"),
        ("?line=1", "#/line"),
    ],
)
def test_an_invalid_parameter_is_refused(api: Api, query: str, pointer: str) -> None:
    answer = api.post("import" + query, b"{}", {"content-type": MEDIA_TYPE})
    assert pointers(problem_of(answer, "invalid-request")) == [pointer]


def test_a_body_that_is_not_an_import_is_refused(api: Api) -> None:
    for media_type in ("application/json", "text/plain", "application/x-ndjson; charset=latin-1"):
        answer = api.post("import", b'{"key": "x"}', {"content-type": media_type})
        problem_of(answer, "unsupported-media-type")
        assert answer.headers["accept-post"] == MEDIA_TYPE
    problem_of(api.post("import", b"", {"content-type": MEDIA_TYPE}), "empty-batch")
    many = api.post("import", b"\n" * (MAX_BATCH_KEYS + 1), {"content-type": MEDIA_TYPE})
    problem_of(many, "too-many-keys")
    assert_usable(api, many)


def test_an_import_of_the_most_lines_is_stored(api: Api, fresh_key: FreshKeys) -> None:
    prefix = fresh_key() + ":"
    keys = [f"{prefix}{number:05}" for number in range(MAX_BATCH_KEYS)]
    fresh_key.made += keys
    answer = imported(api, *({"key": key, "value": number} for number, key in enumerate(keys)), accept=MSGPACK)
    assert answer == {"lines": MAX_BATCH_KEYS, "applied": MAX_BATCH_KEYS, **DONE}
    assert [item["key"] for item in items_of(export(api, prefix=prefix, values="false"))] == keys
