"""Runs the core's steps in threads. The synchronous client consists of this and the calls."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from queue import SimpleQueue
from typing import Any, TypeVar

from tarantkv.effects import NOT_BEGUN, Alone, Effect, Open, Outcome, Read, Send, Shut, Sleep, Steps, Together
from tarantkv.errors import LOGIN_LASTS, ClosedError, UnreachableError
from tarantkv.forks import renew_after_fork
from tarantkv.transport import Transport

T = TypeVar("T")


class Runner:
    """Runs steps in threads."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self.closed = False
        self.renew_after_fork()
        renew_after_fork(self)

    def renew_after_fork(self) -> None:
        """Make a new lock: a thread of the parent may have held the old one when this process was forked."""
        self._alone = threading.Lock()

    def run(self, steps: Steps[T]) -> T:
        """Run steps to their end; raises what they raise."""
        if self.closed:
            raise ClosedError("the client is closed")
        with closing(steps):
            try:
                effect = next(steps)
                while True:
                    try:
                        result = self._carry_out(effect)
                    except BaseException as error:  # noqa: BLE001 - the steps decide what it means
                        effect = steps.throw(error)
                    else:
                        effect = steps.send(result)
            except StopIteration as end:
                value: T = end.value
                return value

    def beside_each_other(
        self, steps: Iterable[Steps[T]], limit: int, stop: Callable[[BaseException], bool] = lambda _: False
    ) -> Iterator[tuple[int, Outcome]]:
        """Run steps in at most `limit` threads; positions and outcomes as they end. After `stop` no further ones are
        begun.
        """
        done: SimpleQueue[tuple[int, Outcome]] = SimpleQueue()
        waiting = enumerate(steps)
        running, may_begin = 0, True
        while True:
            while may_begin and running < limit:
                following = next(waiting, None)
                if following is None:
                    may_begin = False
                    break
                running += 1
                # These are daemons, so that an interrupted program does not wait for them.
                threading.Thread(target=self._run_into, args=(done, *following), daemon=True).start()
            if not running:
                return
            position, outcome = done.get()
            running -= 1
            if outcome.error is not None and stop(outcome.error):
                may_begin = False
            yield position, outcome

    def _run_into(self, done: SimpleQueue[tuple[int, Outcome]], position: int, steps: Steps[Any]) -> None:
        try:
            outcome = Outcome(begun=True, value=self.run(steps))
        except BaseException as error:  # noqa: BLE001 - handed on: who waits for it would never know
            outcome = Outcome(begun=True, error=error)
        done.put((position, outcome))

    def _carry_out(self, effect: Effect) -> Any:  # noqa: PLR0911 - one for each effect
        match effect:
            case Send(request):
                return self.transport.send(request)
            case Sleep(seconds):
                return time.sleep(seconds)
            case Read(stream, timeout):
                return self.transport.read(stream, timeout)
            case Open(request):
                return self.transport.open(request)
            case Shut(stream):
                return self.transport.shut(stream)
            case Alone(steps, timeout):
                lock = self._alone
                if not lock.acquire(timeout=timeout):
                    raise UnreachableError(LOGIN_LASTS)
                try:
                    return self.run(steps)
                finally:
                    lock.release()
            case Together(steps, limit, stop):
                outcomes = [NOT_BEGUN] * len(steps)
                for position, outcome in self.beside_each_other(steps, limit, stop):
                    outcomes[position] = outcome
                return outcomes
