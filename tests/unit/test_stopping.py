"""A signal stops a worker, at whatever moment it comes."""

import itertools
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

from protocol.stopping import Stop


def interrupted(work: Callable[[], Any], moment: int, handler: Callable[[], None]) -> bool:
    """Run `work` and, before its bytecode number `moment`, a handler, as a signal does. False: it has fewer."""
    left = moment

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal left
        frame.f_trace_opcodes = True
        if event == "opcode":
            left -= 1
            if left == 0:
                handler()
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return left <= 0


def test_a_worker_stops_whatever_moment_of_a_wait_the_signal_interrupts() -> None:
    for moment in itertools.count(1):
        stop = Stop()
        if not interrupted(lambda stop=stop: stop.wait(0.0), moment, stop.set):  # type: ignore[misc]
            break
        assert stop.is_set()
        assert stop.wait(60)
    assert moment > 10, "the handler was called at least once"


def test_a_signal_ends_the_wait_that_it_interrupts() -> None:
    stop = Stop()
    before = signal.signal(signal.SIGALRM, lambda *_: stop.set())
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        assert stop.wait(60)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
