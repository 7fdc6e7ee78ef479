"""Which findings `/api/status` reports for which state, and in which order."""

from typing import Any

import pytest

from api.ops.findings import FAILURE, WARNING, Finding, findings


def shard(name: Any = "s1", **told: Any) -> dict[str, Any]:
    usual = {
        "state": "up",
        "memory_used_bytes": 10,
        "memory_limit_bytes": 100,
        "expiry_lag_s": 0.0,
        "clock_skew_s": 0.0,
    }
    return {"shard": name, **usual, **told}


def queue(name: str = "s1", **told: Any) -> dict[str, Any]:
    return {"shard": name, "depth": 0, "workers": 2, "oldest_s": 0.0, **told}


def lane(name: str = "a:1", **told: Any) -> dict[str, Any]:
    return {"lane": name, "up": True, "memory_used_bytes": 10, "memory_limit_bytes": 100, **told}


def move(**told: Any) -> dict[str, Any]:
    return {"source": "s1", "target": "s2", "done": 3, "total": 10, "told_s_ago": 0.1, **told}


def report(**members: Any) -> dict[str, Any]:
    usual: dict[str, Any] = {
        "requests": {"by_status": {"200": 100.0}},
        "shards": [shard("s1"), shard("s2")],
        "queues": [queue("s1"), queue("s2")],
        "api": [{"version": "1.0.0"}, {"version": "1.0.0"}],
        "lanes": [lane("a:1"), lane("b:1")],
        "moves": [move(told_s_ago=2.0)],
    }
    return {**usual, **members}


def only(status: dict[str, Any]) -> Finding:
    (finding,) = findings(status)
    return finding


def test_a_healthy_system_has_no_findings() -> None:
    assert findings(report()) == []
    unknown = {"memory_used_bytes": None, "memory_limit_bytes": None, "expiry_lag_s": None, "clock_skew_s": None}
    unlimited = lane(memory_used_bytes=None, memory_limit_bytes=None)
    assert findings(report(shards=[shard(**unknown)], queues=[queue(workers=None)], lanes=[unlimited])) == []
    # If the only lane is down, the finding that Redis does not answer is enough.
    assert findings(report(lanes=[lane(up=False)])) == []


@pytest.mark.parametrize(
    ("members", "state", "text", "to_do"),
    [
        ({"shards": [shard("s1", state="down"), shard("s2")]}, FAILURE, "1 of 2 shards do not answer: s1", "shard-s1"),
        ({"shards": [shard("s1", state="read_only")]}, FAILURE, "shard s1 takes no changes", "leader"),
        ({"queues": [queue("s1", depth=None, workers=None)]}, FAILURE, "Redis does not answer", "logs of redis"),
        ({"queues": [queue("s1", workers=0), queue("s2", workers=0)]}, FAILURE, "no worker runs", "start workers"),
        ({"queues": [queue("s1", workers=0), queue("s2")]}, FAILURE, "no worker works for shard s1", "TARANTKV_SHARDS"),
        (
            {"requests": {"by_status": {"504": 0.4}}},
            FAILURE,
            "0.4 requests a second end with an unknown",
            "Idempotency",
        ),
        ({"requests": {"by_status": {"503": 3.0}}}, WARNING, "3.0 requests a second are refused", "#overload"),
        ({"shards": [shard(memory_used_bytes=70)]}, WARNING, "shard s1 is 70 % full", "TARANTKV_SHARD_MEMORY_MIB"),
        ({"shards": [shard(expiry_lag_s=61.0)]}, WARNING, "61 s behind with removing expired keys", "vary the ttls"),
        ({"shards": [shard(clock_skew_s=-7.0)]}, WARNING, "7 s behind this api's", "NTP"),
        ({"queues": [queue("s2", oldest_s=2.5)]}, WARNING, "for shard s2 have waited for 2.5 s", "scale WORKERS"),
        ({"lanes": [lane(), lane("b:1", up=False)]}, WARNING, "1 of 2 Redis lanes do not work: b:1", "#redis-lanes"),
        ({"lanes": [lane(memory_used_bytes=91)]}, WARNING, "the Redis at a:1 is 91 % full", "#overload"),
        ({"moves": [move(told_s_ago=21.0)]}, WARNING, "from s1 to s2 have stopped at 3 of 10", "shard-add"),
        (
            {"api": [{"version": "1.0.0"}, {"version": "1.1.0"}]},
            WARNING,
            "several versions run: 1.0.0, 1.1.0",
            "upgrade",
        ),
    ],
)
def test_each_fault_has_a_finding_that_says_what_to_do(
    members: dict[str, Any], state: str, text: str, to_do: str
) -> None:
    finding = only(report(**members))
    assert finding.state == state
    assert text in finding.text
    assert to_do in finding.to_do


@pytest.mark.parametrize(
    "members",
    [
        {"requests": {"by_status": {"503": 0.05, "504": 0.05}}},
        {"shards": [shard(memory_used_bytes=69, expiry_lag_s=60.0, clock_skew_s=5.0)]},
        {"queues": [queue(oldest_s=1.0)]},
        # The shard is down, so it is known why its chunks are old.
        {"shards": [], "queues": [queue(oldest_s=30.0)]},
    ],
)
def test_values_within_their_bounds_have_no_finding(members: dict[str, Any]) -> None:
    assert findings(report(**members)) == []


def test_failures_come_before_warnings() -> None:
    status = report(shards=[shard("s1", memory_used_bytes=99), shard("s2", state="down")])
    assert [finding.state for finding in findings(status)] == [FAILURE, WARNING]
