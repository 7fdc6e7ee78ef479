"""Thousands of keys expire at the same moment: the shards serve other keys, metrics show the lag until it ends, and the
memory is freed.

`loadtest.expiry` is the same with a million, and measures.
"""

import time
from collections.abc import Iterator

import httpx
import pytest

from localcluster.cluster import Cluster
from tests.faults.console import clocks_off_s, evaluate
from tests.faults.load import login
from tests.faults.processes import wait_for

KEYS = 20_000
BATCH = 10_000
VALUE = "x" * 500
LONGEST_S = 40.0


@pytest.fixture
def http(mended: Cluster) -> Iterator[httpx.Client]:
    token = login(mended.base_url, mended.admin_user, mended.admin_password)
    with httpx.Client(base_url=mended.base_url, headers={"Authorization": token}, trust_env=False, timeout=20) as http:
        yield http


def sweeps(cluster: Cluster) -> list[tuple[int, int, int, int]]:
    """For each shard: keys removed since its start, the lag in ms, the number of keys that expire, bytes of keys."""
    said = "local a, b, c = require('tarantkv.sweep').status() return a, b, c, box.space.kv:bsize()"
    answers = [
        evaluate(cluster.console_socket(shard.name), f"(function() {said} end)()") for shard in cluster.config.shards
    ]
    return [(int(removed), int(lag), int(rows), int(size)) for removed, lag, rows, size in answers]


def test_keys_that_expire_together_are_absent_at_once_and_removed_while_others_are_served(
    mended: Cluster, http: httpx.Client
) -> None:
    before = sweeps(mended)
    keys = [f"together/{number}" for number in range(KEYS)]
    batches = [dict.fromkeys(keys[start : start + BATCH], VALUE) for start in range(0, KEYS, BATCH)]
    began = time.time()
    http.post("/api/write", json={"data": batches[0]}).raise_for_status()
    # Long enough for all batches, however slow the machine is now. A shard whose clock is still ahead after another
    # test lets them expire earlier.
    ends = time.time() + 1.5 + 3 * len(batches) * (time.time() - began) + clocks_off_s(mended)
    for data in batches:
        http.post("/api/write", json={"data": data, "expires_at": ends}).raise_for_status()
    assert time.time() < ends, "the machine has become too slow for this test"
    assert sum(rows for _, _, rows, _ in sweeps(mended)) >= KEYS

    longest_lag_ms, others = 0, 0
    end = time.monotonic() + LONGEST_S
    while time.monotonic() < end:
        http.post("/api/write", json={"data": {"others": others}}).raise_for_status()
        answer = http.post("/api/read", json={"keys": ["others", keys[others % KEYS]]})
        asked = time.time()
        found = answer.json()["data"]
        assert found.pop("others") == others
        others += 1
        now = sweeps(mended)
        longest_lag_ms = max(longest_lag_ms, *(lag for _, lag, _, _ in now))
        removed = sum(count for count, *_ in now) - sum(count for count, *_ in before)
        if removed >= KEYS:
            break
        assert asked < ends or not found or time.time() < ends + 0.5, found
    else:
        pytest.fail("the keys are not removed")
    assert longest_lag_ms > 0
    assert http.post("/api/read", json={"keys": keys[:1000]}).json()["data"] == {}
    wait_for(lambda: all(lag == 0 for _, lag, _, _ in sweeps(mended)), "the lag does not end")
    left = sum(size for *_, size in sweeps(mended)) - sum(size for *_, size in before)
    assert left < KEYS * len(VALUE) / 100
