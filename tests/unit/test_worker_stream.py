"""How a worker handles Redis' replies when it reads and reports; the integration tests use the real Redis."""

from collections.abc import Callable, Sequence
from typing import Any, cast

import pytest
import redis

from protocol.frames import VERSION
from protocol.names import REFUSED
from protocol.redis_wire import Command, Wire
from worker.group import Group
from worker.presence import Presence
from worker.stream import Report, ShardStream
from worker.takeover import TakeOver

SERVER = "a" * 40


class OneAnswer:
    """Gives the same reply to every command."""

    server = SERVER

    def __init__(self, answer: Any) -> None:
        self._answer = answer
        self.ran: list[Command] = []
        self.closed = False

    def connect(self) -> None:
        """Do nothing: it is connected."""

    def run(self, commands: Sequence[Command]) -> list[Any]:
        self.ran += commands
        return [self._answer] * len(commands)

    def close(self) -> None:
        self.closed = True


def group_of(wire: Any) -> Group:
    return Group(cast("Wire", wire), "s1", "me")


def stream_of(wire: Any) -> ShardStream:
    return ShardStream(group_of(wire), count=2)


ASKS: list[Callable[[Group], object]] = [
    lambda group: ShardStream(group, count=2).read(Report(), block=True),
    lambda group: ShardStream(group, count=2).report(Report(done=[b"1-0"], sole=[b"1-0"], server=SERVER)),
    lambda group: TakeOver(group, count=2, claim_idle_ms=1000).take_over(),
    lambda group: TakeOver(group, count=2, claim_idle_ms=1000).renew([b"1-0"], SERVER),
    lambda group: Presence(group).announce(),
]
NONSENSE: list[Any] = [
    7,
    b"text",
    [7],
    [b"words"],
    [[b"kv:s1"]],
    [[b"kv:s1", 7]],
    [[b"kv:s1", [b"1-0"]]],
    [[b"kv:s1", [[b"1-0", [b"f", 7]]]]],
]


@pytest.mark.parametrize("ask", ASKS)
@pytest.mark.parametrize("answer", NONSENSE)
def test_an_answer_of_an_unexpected_form_is_a_redis_error(ask: Callable[[Group], object], answer: Any) -> None:
    with pytest.raises(redis.RedisError):
        ask(group_of(OneAnswer(answer)))


def test_replies_that_redis_had_no_memory_for_are_sent_with_the_deletion_of_their_frames() -> None:
    wire = OneAnswer(redis.ResponseError("OOM command not allowed"))
    with pytest.raises(redis.ResponseError, match="OOM"):
        stream_of(wire).report(Report([("reply:a", b"early")], server=SERVER))
    assert not [command for command in wire.ran if command[0] == "XDEL"], "this reply has no frame to delete"


class OutOfMemory(OneAnswer):
    """Refuses commands that need memory."""

    def run(self, commands: Sequence[Command]) -> list[Any]:
        self.ran += commands
        needs_memory = any(command[0] in ("XADD", "EVAL") for command in commands)
        return [redis.ResponseError("OOM command not allowed") if needs_memory else b"OK"] * len(commands)


@pytest.mark.parametrize("sole", [[], [b"1-0"]])
def test_a_finished_frame_is_deleted_even_if_redis_has_no_memory_for_its_reply(sole: Sequence[bytes]) -> None:
    """Its deletion frees memory."""
    wire = OutOfMemory(None)
    assert stream_of(wire).report(Report([("reply:a", b"data")], [b"1-0"], sole=sole, server=SERVER)) == ()
    assert ("XDEL", "kv:s1", b"1-0") in wire.ran


def test_frames_that_another_redis_server_delivered_are_not_deleted() -> None:
    """The new server does not know this worker's frame claims, and the same id may name another frame there."""
    wire = OneAnswer(b"OK")
    stream_of(wire).report(Report([("reply:a", b"data")], [b"1-0"], server="b" * 40))
    assert [command[0] for command in wire.ran] == ["MULTI", "XADD", "EXPIRE", "EXEC"]


def test_after_a_failover_no_worker_counts_as_the_only_one_with_a_frame() -> None:
    wire = OneAnswer(b"OK")
    report = Report([("reply:a", b"data")], [b"1-0"], sole=[b"1-0"], server="b" * 40)
    assert stream_of(wire).report(report) == [b"1-0"]
    assert TakeOver(group_of(wire), count=2, claim_idle_ms=1000).renew([b"1-0"], "b" * 40) == [b"1-0"]
    assert wire.ran == []


@pytest.mark.parametrize("reason", ["OOM command not allowed", "NOPERM no permissions to access a key"])
def test_without_the_list_of_workers_it_is_unknown_who_is_present(
    reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    presence = Presence(group_of(OneAnswer(redis.ResponseError(reason))))
    assert presence.announce() == presence.announce() == []
    assert [record.getMessage() for record in caplog.records] == ["redis refused the announcement"]


def test_only_workers_of_the_same_cluster_count_as_present() -> None:
    own, other = b"0a" * 16, b"0b" * 16
    me, peer, stranger = own + b"/host:1:aa", own + b"/host:2:bb", other + b"/host:3:cc"
    wire = OneAnswer([me, peer, stranger])
    assert Presence(Group(cast("Wire", wire), "s1", me.decode())).announce() == [me, peer]


def test_a_refusal_names_the_workers_cluster_only_if_the_cluster_is_the_reason() -> None:
    """The sender of a frame of another version gets an error in a format that every version can read."""
    wire = OneAnswer([])
    refused = [("reply:a", b"1-0", ""), ("reply:b", b"2-0", "0a")]
    stream_of(wire).report(Report(done=[b"1-0", b"2-0"], refused=refused, sole=[b"1-0", b"2-0"], server=SERVER))
    (command,) = wire.ran
    assert command[-4:] == (REFUSED, b"s1 1-0 %d" % VERSION, REFUSED, b"s1 2-0 %d 0a" % VERSION)


class RefusingWorkers(OneAnswer):
    """Refuses commands about the workers that are present."""

    def run(self, commands: Sequence[Command]) -> list[Any]:
        refused = redis.ResponseError("NOPERM no permissions to access a key")
        return [refused if command[0] == "ZREM" else 0 for command in commands]


def test_a_worker_leaves_even_if_redis_refuses_the_list_of_workers() -> None:
    wire = RefusingWorkers(None)
    Presence(group_of(wire)).leave()
    assert wire.closed
