"""What a worker makes of Redis' replies about the frames it holds."""

from collections.abc import Sequence
from typing import Any, cast

import pytest
import redis

from protocol.wire import Command, Wire
from worker.stream import ShardStream

ME = b"me"


class FakeWire:
    """Answers every `MULTI` with the same results."""

    def __init__(self, *results: Any) -> None:
        self.results = list(results)

    def run(self, commands: Sequence[Command]) -> list[Any]:
        assert [commands[0][0], commands[-1][0]] == ["MULTI", "EXEC"]
        return [b"OK", *[b"QUEUED"] * (len(commands) - 2), self.results]


def keep(*results: Any) -> bool:
    stream = ShardStream(cast("Wire", FakeWire(*results)), "s1", ME.decode(), count=1, claim_idle_ms=1000)
    return stream.keep([b"1-0", b"2-0"][: max(1, len(results) - 1)])


def pending(consumer: bytes, deliveries: int) -> list[list[Any]]:
    return [[b"1-0", consumer, 5, deliveries]]


def test_frames_given_to_nobody_else_are_kept() -> None:
    assert keep(pending(ME, 1), pending(ME, 1), [b"1-0", b"2-0"])


def test_a_frame_that_a_peer_has_now_is_not_ours() -> None:
    assert not keep(pending(ME, 1), pending(b"peer", 2), [b"1-0", b"2-0"])


def test_a_frame_that_was_given_out_twice_is_not_only_ours() -> None:
    assert not keep(pending(ME, 2), [b"1-0"])


def test_a_frame_that_is_pending_no_more_is_not_ours() -> None:
    assert not keep([], [])


def test_a_group_that_is_gone_is_an_error_of_redis() -> None:
    gone = redis.ResponseError("NOGROUP No such key")
    with pytest.raises(redis.ResponseError):
        keep(gone, gone)
