"""A progress bar on standard error, if that is a terminal; otherwise it shows nothing."""

from __future__ import annotations

import shutil
import sys
import time
from types import TracebackType
from typing import Self

EVERY_S = 0.1
_WIDTH = 24


class Progress:
    """The progress of some work. `total` and `done` have one unit; the count may have another one."""

    def __init__(self, title: str, unit: str, total: int | None = None, *, quiet: bool = False) -> None:
        self._title = title
        self._unit = unit
        self._total = total
        self._visible = not quiet and sys.stderr.isatty()
        self._began = time.monotonic()
        self._first: tuple[int, int] | None = None
        self._shown = 0.0

    def at(self, count: int, done: int = 0) -> None:
        """Show this count, and how much of the total is done."""
        now = time.monotonic()
        if self._first is None:
            self._first = count, done
        if self._visible and now - self._shown >= EVERY_S:
            self._shown = now
            text = self.text(count, done, now - self._began)
            sys.stderr.write(f"\r{text[: max(20, shutil.get_terminal_size().columns - 1)]}\x1b[K")
            sys.stderr.flush()

    def text(self, count: int, done: int, elapsed: float) -> str:
        """The bar after `elapsed` seconds."""
        first_count, first_done = self._first or (0, 0)
        text = f"{self._title} "
        if self._total:
            share = min(1.0, done / self._total)
            filled = int(share * _WIDTH)
            text += f"[{'#' * filled}{'.' * (_WIDTH - filled)}] {share:4.0%} "
        text += f"{count:,} {self._unit}"
        if elapsed >= 1:
            text += f", {(count - first_count) / elapsed:,.0f}/s"
            if self._total and done > first_done:
                text += f", {_clock((self._total - done) * elapsed / (done - first_done))} left"
        return text

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
