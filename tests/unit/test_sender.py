"""What an api process sends, and what it does when Redis or a worker refuses frames."""

import pytest
import redis

from api.queue import sender as sender_module
from api.queue.pending import Caller
from api.queue.sender import LAST_TRY_MS
from protocol.operations import Status
from tests.unit.queue_fakes import (
    SERVER,
    outcome_of,
    refuse,
    status_of,
    until,
)
from tests.unit.sender_fakes import OtherLane, Redis, Sending


def test_a_frame_names_its_cluster_process_redis_server_and_time(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Redis()
    sending = Sending(monkeypatch, server)

    async def scenario() -> None:
        sending.add(1)
        sending.add(2, caller=Caller(trace="00-trace"))
        await until(lambda: bool(server.appended))
        (frame,) = server.appended
        assert [chunk.id[0] for chunk in frame.chunks] == [1, 2]
        assert (frame.reply_stream, frame.server, frame.traces) == ("reply:p", SERVER, {1: "00-trace"})
        assert frame.chunks[0].deadline_ms - 5000 <= frame.sent_ms < frame.chunks[0].deadline_ms

    sending.run(scenario)


def test_frames_for_all_shards_are_sent_in_one_round_trip(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Redis()
    sending = Sending(monkeypatch, server)

    async def scenario() -> None:
        sending.add(1)
        sending.add(2, shard="s2")
        await until(lambda: bool(server.appended))
        assert [command[1] for command in sending.ran if command[0] == "XADD"] == ["kv:s1", "kv:s2"]

    sending.run(scenario)


def test_waiting_chunks_are_sent_again_when_a_connection_breaks(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = Redis(), Redis()
    first.on_append = lambda: ConnectionResetError("reset")
    sending = Sending(monkeypatch, first, second)

    async def scenario() -> None:
        pending = sending.add(1)
        await until(lambda: bool(second.appended))
        assert pending.sends == 2, "Redis may have taken the first"
        assert sending.sessions == [False, True]
        assert sending.counts.sent_again == 1

    sending.run(scenario)


def test_waiting_chunks_are_sent_again_when_redis_has_lost_its_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender_module, "HEARTBEAT_S", 0.001)
    server = Redis()
    sending = Sending(monkeypatch, server)

    async def scenario() -> None:
        pending = sending.add(1)
        await until(lambda: bool(server.appended))
        server.alive = False
        await until(lambda: len(server.appended) == 2)
        assert pending.sends == 2
        assert len(sending.connections.wires) == 1

    sending.run(scenario)


def test_an_idle_process_renews_its_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender_module, "HEARTBEAT_S", 0.001)
    sending = Sending(monkeypatch, Redis())

    async def scenario() -> None:
        await until(lambda: [command[1] for command in sending.ran].count("reply:p") >= 3)
        renewed = {command[1] for command in sending.ran if command[0] == "EXPIRE"}
        assert renewed == {"reply:p", "alive:p"}

    sending.run(scenario)


def test_a_chunk_that_redis_refuses_is_not_applied(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Redis()
    server.on_append = lambda: redis.exceptions.ResponseError("OOM command not allowed")
    sending = Sending(monkeypatch, server)

    async def scenario() -> None:
        pending = sending.add(1)
        await until(lambda: outcome_of(pending) is not None)
        assert status_of(pending) == Status.UNREACHABLE

    sending.run(scenario)


def test_a_chunk_that_redis_refuses_waits_unsent_for_another_lane(monkeypatch: pytest.MonkeyPatch) -> None:
    server, others = Redis(), OtherLane()
    server.on_append = lambda: redis.exceptions.ResponseError("OOM command not allowed")
    sending = Sending(monkeypatch, server, refuse, others=others)

    async def scenario() -> None:
        pending = sending.add(1)
        await until(lambda: others.took_over > 1)
        assert (status_of(pending), pending.sends) == (None, 0)
        assert not sending.sender.connected

    sending.run(scenario)


def test_a_chunk_is_unknown_if_redis_refuses_its_second_copy_and_the_first_may_exist(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, second = Redis(), Redis()
    first.on_append = lambda: ConnectionResetError("reset")
    second.on_append = lambda: redis.exceptions.ResponseError("READONLY You can't write against a read only replica.")
    sending = Sending(monkeypatch, first, second)

    async def scenario() -> None:
        pending = sending.add(1)
        await until(lambda: pending.doubt is not None)
        assert status_of(pending) is None

    sending.run(scenario)


def test_a_frame_that_a_worker_could_not_read_is_sent_again_as_a_first_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender_module, "SEND_REFUSED_AGAIN_S", 0.0)
    server = Redis()
    sending = Sending(monkeypatch, server)

    async def scenario() -> None:
        pending = sending.add(1)
        await until(lambda: bool(server.appended))
        sending.sender.frame_refused("s1", b"1-0", "another version")
        await until(lambda: len(server.appended) == 2)
        assert pending.sends == 1

    sending.run(scenario)


def test_a_frame_that_no_worker_could_read_until_the_deadline_is_not_applied(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender_module, "SEND_REFUSED_AGAIN_S", 0.0)
    server = Redis()
    sending = Sending(monkeypatch, server)

    async def scenario() -> None:
        pending = sending.add(1, in_ms=LAST_TRY_MS - 100)
        await until(lambda: bool(server.appended))
        sending.sender.frame_refused("s1", b"1-0", "another version")
        await until(lambda: outcome_of(pending) is not None)
        outcome = outcome_of(pending)
        assert outcome is not None
        assert (outcome.status, outcome.payload) == (Status.UNREACHABLE, "another version")

    sending.run(scenario)


def test_a_refusal_of_another_frame_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender_module, "SEND_REFUSED_AGAIN_S", 0.0)
    server = Redis()
    sending = Sending(monkeypatch, server)

    async def scenario() -> None:
        pending = sending.add(1)
        await until(lambda: bool(server.appended))
        for shard, entry_id in (("s1", b"9-0"), ("s2", b"1-0")):
            sending.sender._send_again(shard, entry_id, "another version")
        assert pending.sends == 1
        assert len(sending.outgoing) == 0

    sending.run(scenario)


def test_a_sender_survives_any_number_of_attempts(monkeypatch: pytest.MonkeyPatch) -> None:
    """An outage of some minutes: `first * 2**tries` overflows at the 1,024th."""
    server = Redis()
    sending = Sending(monkeypatch, *[refuse] * 2000, server)

    async def scenario() -> None:
        pending = sending.add(1)
        await until(lambda: bool(server.appended))
        assert pending.sends == 1

    sending.run(scenario)
    assert len(sending.connections.wires) == 2001
