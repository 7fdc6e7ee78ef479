"""One lane of an api process: the chunks for one Redis, the sender, and the reader of the replies there."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence

from api.queue.outgoing import Outgoing
from api.queue.pending import Observer, PendingChunks
from api.queue.reply_reader import ReplyReader
from api.queue.sender import NoOthers, Others, Sender
from protocol.frames import Outcome
from protocol.settings import RedisSettings

SILENT_S = 0.7
"""How long a lane may be silent before it counts as broken, if there is another lane."""


class Lane:
    """One Redis, as an api process uses it.

    `began` is called when a connection works. If sender or reader fails, `others` take over. A lane without others is
    the only one, and gives Redis more time.
    """

    def __init__(
        self,
        settings: RedisSettings,
        process: str,
        shards: Sequence[str],
        pending: PendingChunks,
        observer: Observer,
        *,
        began: Callable[[], None],
        others: Others | None,
    ) -> None:
        self.settings = settings
        self.name = settings.address.name
        self.outgoing = Outgoing(shards, pending)
        self.heard: dict[str, float] = {}
        """When an outcome of each shard last came through this lane, on the monotonic clock; filled only if there are
        other lanes."""

        self._pending = pending
        self._began = began
        self._others = others or NoOthers()
        silent_s = 0.0 if others is None else SILENT_S
        self.sender = Sender(
            settings,
            process,
            pending,
            self.outgoing,
            observer,
            on_session=self._session_began,
            others=others,
            silent_s=silent_s,
        )
        self.reader = ReplyReader(
            settings,
            process,
            self.outgoing,
            settle=pending.settle if others is None else self._settle,
            refused=self.sender.frame_refused,
            wake_sender=self.sender.wake,
            changed=self._reader_changed,
            silent_s=silent_s,
        )

    @property
    def connected(self) -> bool:
        """Whether both connections to Redis work, as far as is known."""
        return self.sender.connected and self.reader.connected

    def _session_began(self, had_session: bool) -> None:  # noqa: FBT001 - the sender's callback has one argument
        self.reader.begin_again(had_session)
        self._began()

    def _reader_changed(self, works: bool) -> None:  # noqa: FBT001 - the reader's callback has one argument
        if works:
            self._began()
        else:
            self._others.take_over()

    def _settle(self, outcomes: Iterable[Outcome]) -> None:
        now = time.monotonic()
        self.heard.update((shard, now) for shard in self._pending.settle(outcomes))
