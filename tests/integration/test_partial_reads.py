"""Reads that take a part of their keys while a shard does not answer."""

from collections.abc import Callable

from localcluster.cluster import Cluster
from tests.contract.calls import JSON, MSGPACK, Api
from tests.contract.problems import problem_of
from tests.integration.store import Store
from tests.integration.waiting import until

FreshKey = Callable[[], str]


def test_while_a_shard_is_down_the_others_keys_are_read(
    cluster: Cluster, strict: Api, store: Store, fresh_key: FreshKey
) -> None:
    prefix = fresh_key()
    down = store.keys_on("s3", 2, prefix)
    here, missing = store.keys_on("s1", 2, prefix)
    keys = [*down, here, missing]
    strict.done("write", {"data": {key: {"a": 1} for key in (*down, here)}, "ttl": 600})
    cluster.stop_program("shard-s3")
    try:
        until(lambda: strict.ask("read", {"keys": down}).status_code == 503, 15, "a shard that is down is not noticed")
        problem_of(strict.ask("read", {"keys": keys}), "shard-unavailable", "2 of 4 keys failed")
        for as_ in (JSON, MSGPACK):
            answer = strict.done("read", {"keys": keys, "partial": True}, as_)
            assert list(answer) == ["data", "not_found", "failed", "status", "reasons"]
            assert (answer["data"], answer["not_found"], answer["status"]) == ({here: {"a": 1}}, [missing], "partial")
            assert answer["failed"] == dict.fromkeys(down, "not_read")
            (reason,) = answer["reasons"]
            assert (reason["shard"], reason["keys"]) == ("s3", 2)
            more = strict.done("read", {"keys": keys, "partial": True, "with": ["version", "expires_at"]}, as_)
            assert more.pop("meta")[here].keys() == {"version", "expires_at"}
            assert {**more, "reasons": []} == {**answer, "reasons": []}
        problem = problem_of(strict.ask("read", {"keys": down, "partial": True}), "shard-unavailable")
        assert problem["failed"] == dict.fromkeys(down, "not_read")
    finally:
        cluster.start_program("shard-s3")
        cluster.wait_running("shard-s3")
    until(
        lambda: "failed" not in strict.done("read", {"keys": keys, "partial": True}),
        10,
        "a shard that is back is not used",
    )
