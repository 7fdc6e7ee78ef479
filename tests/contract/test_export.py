"""`GET /api/export`: lines, their order, cursors, segments, and each rule's refusal."""

import base64
import json
from typing import Any

import httpx
import pytest

from tests.contract.calls import MSGPACK, Api
from tests.contract.conftest import FreshKeys
from tests.contract.problems import assert_usable, pointers, problem_of

MEDIA_TYPE = "application/x-ndjson"


def export(api: Api, **selected: Any) -> httpx.Response:
    return api.http.get("/api/export", params=selected, headers={"authorization": api.token or ""})


def items_of(answer: httpx.Response) -> list[dict[str, Any]]:
    """The items of a complete export; nothing may follow its end."""
    assert answer.status_code == 200, answer.text[:500]
    assert answer.headers["content-type"] == MEDIA_TYPE
    assert answer.content.endswith(b"\n")
    *before, last = map(json.loads, answer.content.splitlines())
    items = [line for line in before if "key" in line]
    assert last == {"end": True, "items": len(items)}
    assert all(set(line) == {"cursor", "items"} for line in before if "key" not in line)
    return items


@pytest.fixture
def prefix(fresh_key: FreshKeys) -> str:
    return fresh_key() + ":"


@pytest.fixture
def stored(api: Api, prefix: str, fresh_key: FreshKeys) -> dict[str, Any]:
    data: dict[str, Any] = {f"{prefix}{number}": {"n": [number, 1.5, None]} for number in range(50)}
    data |= {prefix + end: end for end in ("ä", "😀", " ", "%", "+", "a b&c=d")}
    fresh_key.made += data
    api.write(data)
    return data


def test_every_key_comes_in_order_with_value_version_and_expiry(api: Api, prefix: str, stored: dict[str, Any]) -> None:
    api.post("write", json.dumps({"data": {f"{prefix}0": 1}, "expires_at": 4_102_444_800.5}).encode())
    stored[f"{prefix}0"] = 1
    items = items_of(export(api, prefix=prefix))
    assert [item["key"] for item in items] == sorted(stored, key=str.encode)
    assert {item["key"]: item["value"] for item in items} == stored
    assert all(item["version"] for item in items)
    assert [item["key"] for item in items if "expires_at" in item] == [f"{prefix}0"]
    assert_usable(api, export(api, prefix=prefix))


def test_an_export_may_have_bounds_only_keys_and_segments(api: Api, prefix: str, stored: dict[str, Any]) -> None:
    in_order = sorted(stored, key=str.encode)
    some = items_of(export(api, prefix=prefix, start=in_order[3], end=in_order[-1], values="false"))
    assert [item["key"] for item in some] == in_order[3:-1]
    assert all(set(item) == {"key", "version"} for item in some)
    parts = [
        [item["key"] for item in items_of(export(api, prefix=prefix, segment=segment, segments=3))]
        for segment in range(3)
    ]
    assert all(parts)
    assert all(part == sorted(part, key=str.encode) for part in parts)
    assert sorted((key for part in parts for key in part), key=str.encode) == in_order
    assert items_of(export(api, prefix=prefix, end=prefix)) == []


def test_a_value_that_json_cannot_express_comes_as_messagepack(api: Api, prefix: str, fresh_key: FreshKeys) -> None:
    keys = [prefix + "a", prefix + "b"]
    fresh_key.made += keys
    api.write({keys[0]: b"\x00\xff", keys[1]: "text"}, as_=MSGPACK)
    binary, text = items_of(export(api, prefix=prefix))
    assert base64.b64decode(binary["value_msgpack"]) == b"\xc4\x02\x00\xff"
    assert "value" not in binary
    assert text["value"] == "text"


REFUSED = {
    "limit=10": "#/limit",
    "&": "#/",
    "with=version": "#/with",
    "prefix": "#/prefix",
    "prefix=a&prefix=a": "#/prefix",
    "prefix=%f": "#/prefix",
    "prefix=%ff": "#/prefix",
    "start=" + "a" * 1025: "#/start",
    "values=yes": "#/values",
    "segment=-1": "#/segment",
    "segment=1": "#/segment",
    "segment=2&segments=2": "#/segment",
    "segments=2": "#/segment",
    "segments=0": "#/segments",
    "segments=30001": "#/segments",
    "segments=1.5": "#/segments",
    "cursor=": "#/cursor",
    "cursor=AfXq0JkT7b2c": "#/cursor",
    "cursor=AfXq0JkT7b2c&prefix=": "#/prefix",
    "cursor=AfXq0JkT7b2c&segment=0": "#/segment",
}


def test_each_rule_has_its_refusal(api: Api) -> None:
    for query, pointer in REFUSED.items():
        answer = api.http.get(f"/api/export?{query}", headers={"authorization": api.token or ""})
        assert pointers(problem_of(answer, "invalid-request")) == [pointer], query
        assert_usable(api, answer)
    assert pointers(
        problem_of(api.http.get("/api/export?&", headers={"authorization": api.token or ""}), "invalid-request")
    )


def test_an_export_accepts_only_get_and_needs_a_token(api: Api, stranger: Api) -> None:
    for method in ("HEAD", "POST", "PUT", "DELETE"):
        answer = api.http.request(method, "/api/export", headers={"authorization": api.token or ""})
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET")
        assert_usable(api, answer)
    problem_of(stranger.http.get("/api/export"), "unauthorized")
