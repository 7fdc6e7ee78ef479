"""How the reader of an api process handles its reply stream."""

import asyncio
from collections.abc import Iterable
from typing import Any, cast

import pytest
import redis

from api.queue import reply_reader as reader_module
from api.queue.outgoing import Outgoing
from api.queue.pending import PendingChunks
from api.queue.reply_reader import MAX_READ_BYTES, ReplyReader, entries_of
from protocol.frames import VERSION, Outcome, encode_reply
from protocol.names import FIELD, REFUSED
from protocol.operations import Status
from protocol.redis_wire import AsyncWire, Command
from tests.unit.queue_fakes import REDIS, Connections, Counts, Wire, refuse, until

ONE, TWO = (Outcome(bytes([number]) * 16, Status.OK, None) for number in (1, 2))


def stream_of(*entries: tuple[bytes, bytes]) -> Any:
    return [[b"reply:p", [[b"%d-0" % at, list(entry)] for at, entry in enumerate(entries, 1)]]]


class Reading:
    """A reader, and what it settles, deletes and reports."""

    def __init__(self) -> None:
        counts = Counts()
        self.settled: list[Outcome] = []
        self.refused: list[tuple[str, bytes, str]] = []
        self.woken = 0
        self.outgoing = Outgoing(("s1",), PendingChunks(counts, counts))
        self.reader = ReplyReader(
            REDIS,
            "p",
            self.outgoing,
            settle=self._settle,
            refused=lambda *refusal: self.refused.append(refusal),
            wake_sender=self._wake,
        )

    def _settle(self, outcomes: Iterable[Outcome]) -> None:
        self.settled += outcomes

    def _wake(self) -> None:
        self.woken += 1

    def read(self, answer: Any, last: bytes = b"0-0") -> bytes:
        return asyncio.run(self.reader._read(cast("AsyncWire", Wire(lambda _: answer)), last))


def test_every_outcome_is_settled_and_its_reply_deleted() -> None:
    reading = Reading()
    last = reading.read(stream_of((FIELD, encode_reply([ONE])), (FIELD, encode_reply([TWO]))))
    assert reading.settled == [ONE, TWO]
    assert last == b"2-0"
    assert reading.outgoing.take_deletions() == {"reply:p": [b"1-0", b"2-0"]}
    assert reading.woken == 0


def test_a_read_that_finds_nothing_continues_at_the_same_position() -> None:
    assert Reading().read(None, b"7-0") == b"7-0"


def test_many_replies_are_deleted_without_waiting_for_the_next_request() -> None:
    reading = Reading()
    large = encode_reply([ONE._replace(payload=bytes(MAX_READ_BYTES))])
    reading.read(stream_of((FIELD, large)))
    assert reading.woken == 1
    reading.read(stream_of((FIELD, encode_reply([TWO]))))
    assert reading.woken == 1


def test_a_damaged_reply_is_dropped_and_the_next_is_read(caplog: pytest.LogCaptureFixture) -> None:
    reading = Reading()
    damaged = encode_reply([ONE])[:-1] + b"?"
    assert reading.read(stream_of((FIELD, damaged), (FIELD, encode_reply([TWO])))) == b"2-0"
    assert reading.settled == [TWO]
    assert [record.getMessage() for record in caplog.records] == ["dropped a reply"]


def test_the_sender_learns_of_a_frame_that_a_worker_could_not_read() -> None:
    reading = Reading()
    reading.read(stream_of((REFUSED, b"s1 5-0 9"), (REFUSED, b"nonsense")))
    assert reading.refused == [("s1", b"5-0", f"the worker understands format version 9, not {VERSION}")]


def test_the_sender_learns_of_a_frame_refused_by_another_cluster_and_logs_are_bounded(
    caplog: pytest.LogCaptureFixture,
) -> None:
    reading = Reading()
    reading.read(stream_of(*[(REFUSED, b"s1 5-0 %d 0b0b" % VERSION)] * 20))
    assert len(reading.refused) == 20
    assert reading.refused[0][:2] == ("s1", b"5-0")
    assert "another cluster, 0b0b" in reading.refused[0][2]
    assert [record.getMessage() for record in caplog.records] == ["two clusters use one redis"]


def test_the_entries_of_a_reply_stream_are_their_ids_and_data() -> None:
    assert entries_of(stream_of((b"f", b"one"), (b"f", b"two"))) == [(b"1-0", b"f", b"one"), (b"2-0", b"f", b"two")]


@pytest.mark.parametrize(
    "answer", [7, b"text", [7], [b"text"], [[b"reply:x"]], [[b"reply:x", 7]], [[b"reply:x", [[b"1-0", [b"f", 7]]]]]]
)
def test_an_answer_of_an_unexpected_form_is_a_redis_error(answer: Any) -> None:
    with pytest.raises(redis.RedisError):
        entries_of(answer)


def test_a_reader_survives_any_number_of_attempts(monkeypatch: pytest.MonkeyPatch) -> None:
    connections = Connections(*[refuse] * 2000, lambda command: ConnectionResetError() if "BLOCK" in command else None)
    monkeypatch.setattr(reader_module, "AsyncWire", connections)
    monkeypatch.setattr(reader_module, "FIRST_WAIT_S", 0.000001)
    monkeypatch.setattr(reader_module, "LAST_WAIT_S", 0.000002)
    reading = Reading()

    async def scenario() -> None:
        task = asyncio.create_task(reading.reader.run())
        await until(lambda: any("BLOCK" in command for wire in connections.wires for command in wire.ran))
        assert not task.done()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(scenario())
    assert len(connections.wires) > 2000


def test_a_new_session_reads_from_the_beginning_on_another_connection() -> None:
    """The data may be new, and the connection may lead to the former leader."""
    reading = Reading()
    asked: list[bytes] = []

    async def scenario() -> None:
        def answer(command: Command) -> Any:
            asked.append(cast("bytes", command[-1]))
            if len(asked) == 2:
                reading.reader.begin_again(had_session=True)
            return ConnectionResetError("over") if len(asked) == 3 else stream_of((FIELD, encode_reply([ONE])))

        wire = Wire(answer)
        reading.reader.connected = True
        reading.reader._wire = cast("AsyncWire", wire)
        with pytest.raises(ConnectionResetError):
            await reading.reader._session(cast("AsyncWire", wire))
        assert wire.closed

    asyncio.run(scenario())
    assert asked == [b"0-0", b"1-0", b"0-0"]


def test_a_reader_whose_reads_are_refused_never_counts_as_working(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise it connects again at once each time, and its lane fails and comes back some dozen times a second."""
    denied = redis.ResponseError("NOPERM this user has no permissions to run the 'xread' command")
    connections = Connections(lambda command: denied if command[0] == "XREAD" else b"PONG")
    monkeypatch.setattr(reader_module, "AsyncWire", connections)
    monkeypatch.setattr(reader_module, "FIRST_WAIT_S", 0.000001)
    monkeypatch.setattr(reader_module, "LAST_WAIT_S", 0.000002)
    reading = Reading()
    changes: list[bool] = []
    reading.reader._changed = changes.append

    async def scenario() -> None:
        task = asyncio.create_task(reading.reader.run())
        await until(lambda: len(connections.wires) > 3)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(scenario())
    assert set(changes) == {False}
    assert not reading.reader.connected
