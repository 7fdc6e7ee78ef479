"""`POST /api/scan`: order, bounds, pages, cursors, and each rule's refusal."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.contract.calls import JSON, MSGPACK, Api, decoded, json_body, msgpack_body
from tests.contract.conftest import FreshKeys
from tests.contract.problems import assert_usable, pointers, problem_of

ODD = ("", "\0", "0", "Z", "a", "a\0", "aa", "~", "é", "ﬀ", "\uffff", "😀", "z" * 900)


class Scanner:
    """Scans keys that begin with the prefix of one test."""

    def __init__(self, api: Api, prefix: str, as_: str) -> None:
        self.api = api
        self.prefix = prefix
        self.as_ = as_

    def page(self, **asked: Any) -> dict[str, Any]:
        body = json_body(asked) if self.as_ == JSON else msgpack_body(asked)
        answer = self.api.post("scan", body, {"content-type": self.as_, "accept": self.as_})
        assert answer.status_code == 200, answer.text[:500]
        document: dict[str, Any] = decoded(answer)
        assert set(document) == {"items", "complete"} | (set() if document["complete"] else {"cursor"})
        return document

    def items(self, limit: int, **asked: Any) -> Iterator[dict[str, Any]]:
        """All items, a page at a time."""
        page = self.page(prefix=self.prefix, limit=limit, **asked)
        while not page["complete"]:
            assert len(page["items"]) <= limit
            yield from page["items"]
            page = self.page(cursor=page["cursor"], limit=limit)
        yield from page["items"]

    def keys(self, limit: int = 1000, **asked: Any) -> list[str]:
        return [item["key"] for item in self.items(limit, **asked)]


@pytest.fixture(params=[JSON, MSGPACK])
def as_(request: pytest.FixtureRequest) -> str:
    media_type: str = request.param
    return media_type


@pytest.fixture
def scanner(api: Api, fresh_key: FreshKeys, as_: str) -> Scanner:
    return Scanner(api, fresh_key() + ":", as_)


@pytest.fixture
def stored(api: Api, scanner: Scanner, fresh_key: FreshKeys) -> dict[str, Any]:
    """Keys that differ in their last characters, with values."""
    data = {scanner.prefix + end: {"n": number} for number, end in enumerate(ODD)}
    fresh_key.made += data
    api.write(data)
    return data


def test_keys_come_in_the_order_of_their_bytes_with_their_values(scanner: Scanner, stored: dict[str, Any]) -> None:
    in_order = sorted(stored, key=str.encode)
    for limit in (1, 3, len(ODD), 10_000):
        items = list(scanner.items(limit))
        assert [item["key"] for item in items] == in_order
        assert {item["key"]: item["value"] for item in items} == stored
        assert scanner.keys(limit, reverse=True) == in_order[::-1]


def test_start_is_included_and_end_is_not(scanner: Scanner, stored: dict[str, Any]) -> None:
    in_order = sorted(stored, key=str.encode)
    start, end = in_order[2], in_order[-2]
    assert scanner.keys(2, start=start, end=end) == in_order[2:-2]
    assert scanner.keys(2, start=start, end=end, reverse=True) == in_order[2:-2][::-1]
    assert scanner.keys(start=end, end=start) == []
    assert scanner.keys(start="", end=in_order[0]) == []
    assert scanner.keys(start="\uffff") == []


def test_an_item_has_only_the_requested_members(scanner: Scanner, stored: dict[str, Any]) -> None:
    expiring, lasting = sorted(stored, key=str.encode)[:2]
    body = json_body({"data": {expiring: 1}, "expires_at": 4_102_444_800.5})
    assert scanner.api.post("write", body).status_code == 200
    first, second = list(scanner.items(10, **{"with": ["version", "expires_at"]}))[:2]
    assert first == {"key": expiring, "value": 1, "version": first["version"], "expires_at": 4_102_444_800.5}
    assert second == {"key": lasting, "value": stored[lasting], "version": second["version"]}
    assert first["version"] != second["version"]
    assert all(set(item) == {"key"} for item in scanner.items(10, values=False))
    assert set(next(scanner.items(10, values=False, **{"with": ["version"]}))) == {"key", "version"}


def test_the_limit_may_differ_from_page_to_page(scanner: Scanner, stored: dict[str, Any]) -> None:
    keys, limit = [], 1
    page = scanner.page(prefix=scanner.prefix, limit=limit)
    while True:
        keys += [item["key"] for item in page["items"]]
        if page["complete"]:
            break
        limit += 1
        page = scanner.page(cursor=page["cursor"], limit=limit)
    assert keys == sorted(stored, key=str.encode)
    # The default is 1,000.
    assert scanner.page(prefix=scanner.prefix)["complete"]


def test_a_cursor_can_be_used_again_and_shows_the_keys_of_that_moment(scanner: Scanner, stored: dict[str, Any]) -> None:
    in_order = sorted(stored, key=str.encode)
    cursor = scanner.page(prefix=scanner.prefix, limit=4)["cursor"]
    assert [item["key"] for item in scanner.page(cursor=cursor, limit=2)["items"]] == in_order[4:6]
    scanner.api.delete(in_order[0], in_order[3], in_order[4])
    assert [item["key"] for item in scanner.page(cursor=cursor, limit=2)["items"]] == in_order[5:7]


def test_a_page_ends_early_at_16_mib_of_values(api: Api, fresh_key: FreshKeys) -> None:
    scanner = Scanner(api, fresh_key() + ":", MSGPACK)
    keys = [f"{scanner.prefix}{number:02}" for number in range(40)]
    fresh_key.made += keys
    for start in range(0, len(keys), 20):
        api.write(dict.fromkeys(keys[start : start + 20], b"x" * 500000), as_=MSGPACK)
    page = scanner.page(prefix=scanner.prefix)
    assert not page["complete"]
    assert [item["key"] for item in page["items"]] == keys[:33]
    rest = scanner.page(cursor=page["cursor"])
    assert [item["key"] for item in rest["items"]] == keys[33:]
    assert all(item["value"] == b"x" * 500_000 for item in (*page["items"], *rest["items"]))


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown member": ({"prefixx": "a"}, "#/prefixx"),
    "a prefix that is no text": ({"prefix": 1}, "#/prefix"),
    "a start that is null": ({"start": None}, "#/start"),
    "an end that is too long": ({"end": "ä" * 513}, "#/end"),
    "reverse that is a number": ({"reverse": 1}, "#/reverse"),
    "values that are a text": ({"values": "false"}, "#/values"),
    "a limit of 0": ({"limit": 0}, "#/limit"),
    "a limit that is too high": ({"limit": 10_001}, "#/limit"),
    "a limit with a fraction": ({"limit": 1.5}, "#/limit"),
    "a limit that is a bool": ({"limit": True}, "#/limit"),
    "with that is a text": ({"with": "version"}, "#/with"),
    "with something else": ({"with": ["version", "value"]}, "#/with/1"),
    "a cursor that is no text": ({"cursor": 1}, "#/cursor"),
    "a cursor that is made up": ({"cursor": "AfXq0JkT7b2c"}, "#/cursor"),
    "a cursor that is empty": ({"cursor": ""}, "#/cursor"),
}


def test_each_rule_has_its_refusal(api: Api, as_: str) -> None:
    for name, (asked, pointer) in REFUSED.items():
        body = json_body(asked) if as_ == JSON else msgpack_body(asked)
        answer = api.post("scan", body, {"content-type": as_})
        assert pointers(problem_of(answer, "invalid-request")) == [pointer], name
        assert_usable(api, answer)


def test_a_selector_beside_a_cursor_is_refused(scanner: Scanner, stored: dict[str, Any]) -> None:
    assert stored
    cursor = scanner.page(prefix=scanner.prefix, limit=1)["cursor"]
    selectors: dict[str, Any] = {"prefix": "", "start": "", "end": "", "reverse": False, "values": True, "with": []}
    for name, value in selectors.items():
        answer = scanner.api.post("scan", json_body({"cursor": cursor, name: value}))
        assert pointers(problem_of(answer, "invalid-request", "is part of the cursor")) == [f"#/{name}"]


def test_a_body_that_is_not_a_document_is_refused(api: Api) -> None:
    for body in (b"", b"[]", b"{", b'{"limit":', b"\xff", b'{"prefix": "\\ud800"}'):
        assert api.post("scan", body).status_code == 400, body


def test_a_damaged_cursor_is_refused(scanner: Scanner, stored: dict[str, Any]) -> None:
    assert stored
    cursor: str = scanner.page(prefix=scanner.prefix, limit=1)["cursor"]
    change: Callable[[str], str] = lambda letter: "B" if letter == "A" else "A"  # noqa: E731
    for at in (0, 10, 30, len(cursor) // 2):
        forged = cursor[:at] + change(cursor[at]) + cursor[at + 1 :]
        answer = scanner.api.post("scan", json_body({"cursor": forged}))
        assert pointers(problem_of(answer, "invalid-request")) == ["#/cursor"]
    answer = scanner.api.http.get(
        "/api/export", params={"cursor": cursor}, headers={"authorization": scanner.api.token or ""}
    )
    assert pointers(problem_of(answer, "invalid-request", "one of a scan")) == ["#/cursor"]


def test_a_value_that_json_cannot_express_is_named(api: Api, fresh_key: FreshKeys) -> None:
    keys = sorted(fresh_key() + ":bin" for _ in range(2))
    fresh_key.made += keys
    api.write({keys[0]: 1, keys[1]: b"\xff"}, as_=MSGPACK)
    asked = json_body({"start": keys[0], "end": keys[1] + "\0"})
    problem = problem_of(api.post("scan", asked), "not-acceptable", keys[1])
    assert pointers(problem) == ["#/items/1/value"]
    packed = decoded(api.post("scan", asked, {"accept": MSGPACK}))
    assert [item["value"] for item in packed["items"]] == [1, b"\xff"]
