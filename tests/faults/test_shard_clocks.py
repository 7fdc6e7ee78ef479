"""A shard's clock is set back while it runs or is down: no expired key returns, and no version is repeated."""

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import httpx
import pytest

from localcluster.cluster import Cluster
from tests.faults.console import keys_of
from tests.faults.injections_shards import ShardClock, settle_clock
from tests.faults.load import login
from tests.faults.processes import wait_for

SHARD = "s1"
BACK_S = 3
"""Less than a request may take: a shard that is ahead by more would reject every request as too late."""

TTL_S = 0.3

Post = Callable[[str, Mapping[str, Any]], Any]


@pytest.fixture
def post(mended: Cluster) -> Iterator[Post]:
    token = login(mended.base_url, mended.admin_user, mended.admin_password)
    with httpx.Client(base_url=mended.base_url, headers={"Authorization": token}, trust_env=False, timeout=20) as http:

        def send(call: str, body: Mapping[str, Any]) -> Any:
            answer = http.post(f"/api/{call}", json=body)
            assert answer.status_code in {200, 409}, answer.text
            return answer.json()

        yield send


def read(post: Post, keys: list[str]) -> dict[str, Any]:
    data: dict[str, Any] = post("read", {"keys": keys})["data"]
    return data


def versions_of(post: Post, keys: list[str]) -> list[int]:
    """The versions of as many writes, one after the other, as numbers: they grow."""
    return [int(post("write", {"data": {key: 1}, "return": ["version"]})["versions"][key], 16) for key in keys]


def wait_until_over(post: Post, key: str) -> None:
    wait_for(lambda: key not in read(post, [key]), "the key does not expire")


def killed_and_back(cluster: Cluster) -> None:
    pid = cluster.kill(f"shard-{SHARD}")
    cluster.wait_ended(f"shard-{SHARD}", pid)
    cluster.wait_running(f"shard-{SHARD}")


def test_no_expired_key_returns_and_no_version_is_repeated_when_a_shards_clock_is_set_back(
    mended: Cluster, post: Post
) -> None:
    clock = ShardClock(SHARD, -30)
    gone, stays, *others = keys_of(mended, SHARD, "set-back", 42)
    post("write", {"data": {gone: 1}, "ttl": TTL_S})
    post("write", {"data": {stays: 1}, "ttl": 3600})
    before = versions_of(post, others)
    wait_until_over(post, gone)
    clock.start(mended)
    try:
        assert read(post, [gone, stays]) == {stays: 1}
        assert post("write", {"data": {gone: 2}, "if": "absent"}) == {"status": "success"}
        after = versions_of(post, others)
        assert max(before) < min(after)
        # Present keys do not live half a minute longer.
        began = time.monotonic()
        post("write", {"data": {gone: 3}, "ttl": TTL_S})
        wait_until_over(post, gone)
        assert time.monotonic() - began >= TTL_S
    finally:
        clock.stop(mended)
    assert read(post, [gone, stays]) == {stays: 1}


def test_no_expired_key_returns_and_no_version_is_repeated_after_a_restart_with_an_earlier_clock(
    mended: Cluster, post: Post
) -> None:
    """Its clock was ahead until it was killed. For the process that starts then, the clock has been set back."""
    gone, *others = keys_of(mended, SHARD, "restarted", 41)
    ShardClock(SHARD, BACK_S).start(mended)
    post("write", {"data": {gone: 1}, "ttl": TTL_S})
    before = versions_of(post, others)
    wait_until_over(post, gone)
    killed_and_back(mended)
    assert read(post, [gone]) == {}
    after = versions_of(post, others)
    assert max(before) < min(after)
    assert post("write", {"data": {gone: 2}, "if": "absent"}) == {"status": "success"}
    settle_clock(mended, SHARD)


def test_a_shard_that_is_killed_repeatedly_repeats_no_version(mended: Cluster, post: Post) -> None:
    keys = keys_of(mended, SHARD, "killed-often", 10)
    seen = versions_of(post, keys)
    for _ in range(3):
        killed_and_back(mended)
        seen += versions_of(post, keys)
    assert seen == sorted(set(seen))
