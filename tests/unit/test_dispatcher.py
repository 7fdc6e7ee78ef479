"""The dispatcher: how long it lets the outcomes of a batch take."""

import time

import pytest

from api.queue import dispatcher as dispatcher_module
from api.queue.dispatcher import Dispatcher
from api.queue.pending import Caller
from protocol.clock import now_ms
from protocol.settings import BatchSettings
from tests.unit.queue_fakes import REDIS, Counts, chunk

HOUR_MS = 3_600_000


def test_a_batch_ends_in_time_even_if_the_clock_was_set_back_after_its_arrival(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dispatcher = Dispatcher(REDIS, BatchSettings(), ("s1",), Counts())
    monkeypatch.setattr(dispatcher_module, "now_ms", lambda: now_ms() - HOUR_MS)
    dispatcher.begin([("s1", chunk(1))], Caller(), lambda _: None)
    (pending,) = dispatcher._pending
    assert pending.gathering.ends <= time.monotonic() + BatchSettings().request_timeout_s
