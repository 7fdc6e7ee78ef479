"""Finds the leader among the instances of a shard: it asks all at once, so that silent ones delay nothing."""

from __future__ import annotations

import queue
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import NamedTuple

from protocol.announced import Address
from worker.errors import ShardUnreachableError, WrongInstanceError

SEARCH_S = 0.3
"""How long a search waits for answers, login included. The next one follows soon: an election takes longer."""

AVOIDED_S = 1.0
"""How long an instance is left out after a call to it timed out: the kernel of a frozen one still accepts
connections."""


class Found(NamedTuple):
    """The answer of one instance. `connected` is logged in, and given only for the leader; `reason` says why it is not
    the leader.
    """

    instance: Address
    connected: socket.socket | None
    reason: str
    error: WrongInstanceError | None = None


Ask = Callable[[Address, float], Found]
"""Asks one instance, for at most this many seconds."""


class LeaderSearch:
    """Searches among the instances of one shard. A single instance is asked alone, within `timeout_s`."""

    def __init__(self, instances: Sequence[Address], ask: Ask, timeout_s: float) -> None:
        self._instances = tuple(instances)
        self._ask = ask
        self._timeout_s = timeout_s
        self._avoided: dict[Address, float] = {}

    def avoid(self, instance: Address) -> None:
        """Leave an instance out for some time, as long as there are others."""
        self._avoided[instance] = time.monotonic() + AVOIDED_S

    def find(self, *, but: Address | None = None) -> tuple[Address, socket.socket]:
        """The leader, and a connection to it that is logged in.

        Raises:
            ShardUnreachableError: no instance says that it is the leader.
            WrongInstanceError: an instance belongs to another shard or cluster.
        """
        now = time.monotonic()
        asked = [each for each in self._instances if each != but and self._avoided.get(each, 0.0) <= now]
        asked = asked or [each for each in self._instances if each != but]
        if len(self._instances) == 1:
            answers = iter([self._ask(each, self._timeout_s) for each in asked])
        else:
            answers = self._answers(asked)
        reasons = []
        for found in answers:
            if found.error is not None:
                raise found.error
            if found.connected is not None:
                return found.instance, found.connected
            reasons.append(f"{found.instance[0]}:{found.instance[1]}: {found.reason}")
        raise ShardUnreachableError("; ".join(reasons) or "no instance answered in time", sent=False)

    def _answers(self, asked: Sequence[Address]) -> Iterator[Found]:
        """The answers as they arrive, for as long as a search lasts."""
        inbox = _Inbox()
        for instance in asked:
            threading.Thread(
                target=self._ask_into, args=(inbox, instance), name=f"search-{instance[0]}:{instance[1]}", daemon=True
            ).start()
        ends = time.monotonic() + SEARCH_S
        with closing(inbox):
            for _ in asked:
                found = inbox.get(ends - time.monotonic())
                if found is None:
                    return
                yield found

    def _ask_into(self, inbox: _Inbox, instance: Address) -> None:
        inbox.put(self._ask(instance, SEARCH_S))


class _Inbox:
    """Takes the answers of one search. Connections that arrive after it is closed are closed, too."""

    def __init__(self) -> None:
        self._found: queue.SimpleQueue[Found] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._closed = False

    def put(self, found: Found) -> None:
        with self._lock:
            if not self._closed:
                self._found.put(found)
                return
        _drop(found)

    def get(self, timeout_s: float) -> Found | None:
        try:
            return self._found.get(timeout=max(0.0, timeout_s))
        except queue.Empty:
            return None

    def close(self) -> None:
        with self._lock:
            self._closed = True
        while not self._found.empty():
            _drop(self._found.get())


def _drop(found: Found) -> None:
    if found.connected is not None:
        found.connected.close()
