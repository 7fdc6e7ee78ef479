"""An api that cannot use a lane logs the reason, even if it never could, but not for every attempt."""

import asyncio
import logging
import socket
from contextlib import suppress
from typing import Any, cast

import pytest

from api.queue import failure_line
from api.queue.failure_line import FailureLine
from api.queue.outgoing import Outgoing
from api.queue.pending import PendingChunks
from api.queue.reply_reader import ReplyReader
from api.queue.sender import Sender
from protocol.settings import RedisSettings


def test_an_api_that_cannot_reach_redis_from_the_beginning_logs_why(caplog: pytest.LogCaptureFixture) -> None:
    nothing: Any = None
    pending = PendingChunks(nothing, nothing)
    outgoing = Outgoing((), pending)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    settings = RedisSettings(redis_url=f"redis://127.0.0.1:{port}", redis_password="secret")
    sender = Sender(settings, "p", pending, outgoing, nothing, lambda _: None)
    reader = ReplyReader(
        settings, "p", outgoing, settle=list, refused=cast("Any", sender.frame_refused), wake_sender=sender.wake
    )

    async def attempts() -> None:
        for part in (sender, reader):
            with suppress(TimeoutError):
                async with asyncio.timeout(0.2):
                    await part.run()

    asyncio.run(attempts())
    said = [(record.message, cast("Any", record).error) for record in caplog.records]
    assert [message for message, _ in said] == ["sending to redis failed", "reading from redis failed"]
    assert all(f"127.0.0.1', {port}" in error for _, error in said)


def test_a_lasting_failure_is_logged_from_time_to_time(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for every_s, lines in ((1000.0, 2), (0.0, 4)):
        caplog.clear()
        monkeypatch.setattr(failure_line, "EVERY_S", every_s)
        line = FailureLine(logging.getLogger("test"), "failed", "lane")
        for worked in (False, False, True, False):
            line.log(OSError("no"), worked=worked)
        assert len(caplog.records) == lines
