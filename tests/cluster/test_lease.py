"""An instance that must not lead answers no call: a former leader that was frozen, and a leader without a quorum."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from typing import Any

import httpx
import pytest

from clusterctl.cluster import ReplicatedCluster
from protocol.operations import Operation, Status
from tests.cluster.asking import ask, connect, read_of, write_of
from tests.cluster.failing import frozen, instances, leader, wait_all_follow
from tests.faults.console import keys_of
from tests.faults.load import login

READERS = 16

Asks = Callable[[str, bytes, float], tuple[int, Any]]


@pytest.fixture
def http(mended: ReplicatedCluster) -> Iterator[httpx.Client]:
    token = login(mended.base_url, mended.admin_user, mended.admin_password)
    with httpx.Client(
        base_url=mended.base_url, headers={"Authorization": token}, trust_env=False, timeout=20
    ) as client:
        yield client


def test_a_frozen_leader_that_continues_answers_no_stale_read(mended: ReplicatedCluster, http: httpx.Client) -> None:
    shard = mended.config.plan[0].name
    old = leader(mended, shard)
    (key,) = keys_of(mended, old, "stale", 1)
    assert http.post("/api/write", json={"data": {key: "old"}}).status_code == 200
    with ExitStack() as stack:
        connections = [stack.enter_context(closing(connect(mended, old))) for _ in range(READERS)]
        pool = stack.enter_context(ThreadPoolExecutor(READERS))
        with frozen(mended, [old]):
            leader(mended, shard, but=old)
            assert http.post("/api/write", json={"data": {key: "new"}}).status_code == 200
            answers = [pool.submit(ask, each, Operation.READ, read_of(key)) for each in connections]
        said = [answer.result(30) for answer in answers]

    stale = [payload for status, payload in said if status == Status.OK and b"old" in bytes(payload)]
    assert not stale, f"{len(stale)} of {READERS} reads are stale"
    wait_all_follow(mended)
    assert http.post("/api/read", json={"keys": [key]}).json() == {"data": {key: "new"}}


def test_a_leader_without_a_quorum_answers_no_read_and_acknowledges_no_write(
    mended: ReplicatedCluster, http: httpx.Client
) -> None:
    shard = mended.config.plan[1].name
    alone = leader(mended, shard)
    (key,) = keys_of(mended, alone, "minority", 1)
    assert http.post("/api/write", json={"data": {key: "before"}}).status_code == 200
    with ExitStack() as stack:
        connection = stack.enter_context(closing(connect(mended, alone)))
        with frozen(mended, [each for each in instances(mended, shard) if each != alone]):
            entry = write_of(key, "lonely")
            pool = stack.enter_context(ThreadPoolExecutor(2))
            written = pool.submit(http.post, "/api/write", json={"data": {key: "lonely"}})
            other = stack.enter_context(closing(connect(mended, alone)))
            lone = pool.submit(ask, other, Operation.WRITE, entry)
            assert written.result(30).status_code in {503, 504}
            status, _ = ask(connection, Operation.READ, read_of(key), 1)
            assert status in {Status.READ_ONLY, Status.EXPIRED}
            assert http.post("/api/read", json={"keys": [key]}).status_code in {503, 504}
            assert not lone.done() or lone.result()[0] != Status.OK
    wait_all_follow(mended)
    leader(mended, shard)
    assert http.post("/api/write", json={"data": {key: "after"}}).status_code == 200
    assert http.post("/api/read", json={"keys": [key]}).json() == {"data": {key: "after"}}
