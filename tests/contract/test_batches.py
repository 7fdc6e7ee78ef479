"""`/api/write`, `/api/read` and `/api/delete` with ordinary batches, up to the most keys."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.contract.calls import JSON, MSGPACK, Api, json_body, msgpack_body
from tests.contract.limits import MAX_BATCH_KEYS
from tests.contract.problems import pointers, problem_of
from tests.contract.samples import same

FreshKey = Callable[[], str]


@pytest.mark.parametrize("as_", [JSON, MSGPACK])
def test_a_batch_of_the_most_keys_is_written_read_and_deleted(api: Api, fresh_key: FreshKey, as_: str) -> None:
    data = {
        fresh_key(): {"number": number, "half": number / 2, "tags": [str(number)]} for number in range(MAX_BATCH_KEYS)
    }
    api.write(data, as_=as_)
    assert same(dict(sorted(api.read(*data, as_=as_).items())), dict(sorted(data.items())))
    assert api.delete(*data) == MAX_BATCH_KEYS
    assert sorted(api.read_document(*data, as_=as_)["not_found"]) == sorted(data)


@pytest.mark.parametrize("as_", [JSON, MSGPACK])
@pytest.mark.parametrize("call", ["write", "increment", "read", "delete", "touch"])
def test_a_batch_of_one_key_too_many_is_refused(api: Api, call: str, as_: str) -> None:
    keys = [str(number) for number in range(MAX_BATCH_KEYS + 1)]
    member = "data" if call in ("write", "increment") else "keys"
    document: dict[str, Any] = {member: dict.fromkeys(keys, 1) if member == "data" else keys}
    body = json_body(document) if as_ == JSON else msgpack_body(document)
    problem = problem_of(api.post(call, body, {"content-type": as_}), "too-many-keys", str(MAX_BATCH_KEYS))
    assert pointers(problem) == [f"#/{member}"]


@pytest.mark.direct
def test_the_keys_of_a_batch_may_be_on_several_shards(api: Api, fresh_key: FreshKey) -> None:
    keys = [fresh_key() for _ in range(200)]
    api.write(dict.fromkeys(keys, 1))
    shards = api.http.get("/health/ready").json()["shards"]
    before = [_written(api, shard) for shard in shards]
    api.write(dict.fromkeys(keys, 2))
    assert [_written(api, shard) > count for shard, count in zip(shards, before, strict=True)] == [True] * len(shards)


def _written(api: Api, shard: str) -> float:
    name = f'tarantkv_chunk_outcomes_total{{shard="{shard}",status="ok"}} '
    lines = [line for line in api.http.get("/metrics").text.splitlines() if line.startswith(name)]
    return float(lines[0].removeprefix(name)) if lines else 0.0


@pytest.mark.parametrize("as_", [JSON, MSGPACK])
def test_absent_keys_are_named(api: Api, fresh_key: FreshKey, as_: str) -> None:
    here, gone, never = fresh_key(), fresh_key(), fresh_key()
    api.write({here: None, gone: 1})
    api.delete(gone)
    document = api.read_document(here, gone, never, as_=as_)
    assert document["data"] == {here: None}
    assert sorted(document["not_found"]) == sorted([gone, never])


@pytest.mark.parametrize("as_", [JSON, MSGPACK])
def test_a_read_that_finds_everything_has_no_not_found(api: Api, fresh_key: FreshKey, as_: str) -> None:
    key = fresh_key()
    api.write({key: 1})
    assert api.read_document(key, as_=as_) == {"data": {key: 1}}


@pytest.mark.parametrize("as_", [JSON, MSGPACK])
def test_a_key_that_is_requested_twice_is_answered_once(api: Api, fresh_key: FreshKey, as_: str) -> None:
    here, missing = fresh_key(), fresh_key()
    api.write({here: 1})
    answer = api.post("read", json_body({"keys": [here, missing] * 3}), {"accept": as_})
    assert answer.content.count(here.encode()) == 1
    assert answer.content.count(missing.encode()) == 1


def test_a_key_that_is_deleted_twice_in_a_batch_counts_once(api: Api, fresh_key: FreshKey) -> None:
    key = fresh_key()
    api.write({key: 1})
    assert api.delete(key, key) == 1


def test_a_delete_counts_the_keys_that_existed(api: Api, fresh_key: FreshKey) -> None:
    keys = [fresh_key() for _ in range(20)]
    api.write(dict.fromkeys(keys[:13], 1))
    assert api.delete(*keys) == 13
    assert api.delete(*keys) == 0


@pytest.mark.parametrize("accept", [JSON, MSGPACK])
def test_delete_answers_in_the_accepted_format(api: Api, fresh_key: FreshKey, accept: str) -> None:
    answer = api.post("delete", msgpack_body({"keys": [fresh_key()]}), {"content-type": MSGPACK, "accept": accept})
    expected = {"status": "success", "deleted": 0}
    assert answer.headers["content-type"] == accept
    assert answer.content == (b'{"status":"success","deleted":0}' if accept == JSON else msgpack_body(expected))


@pytest.mark.parametrize("as_", [JSON, MSGPACK])
def test_the_last_of_two_members_with_the_same_name_counts(api: Api, fresh_key: FreshKey, as_: str) -> None:
    key = fresh_key()
    if as_ == JSON:
        body = b'{"data": {"%s": 1, "%s": [2]}}' % (key.encode(), key.encode())
    else:
        name = msgpack_body(key)
        body = b"\x81\xa4data\x82" + name + b"\x01" + name + b"\x91\x02"
    assert api.post("write", body, {"content-type": as_}).status_code == 200
    assert api.read(key) == {key: [2]}
