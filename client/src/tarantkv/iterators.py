"""The scans and exports of the synchronous client: iterators that know where to continue."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Self

from tarantkv.models import Item, Page
from tarantkv.runner import Runner

if TYPE_CHECKING:
    from tarantkv.export import ExportReader
    from tarantkv.scan import ScanReader


class Scan:
    """Iterates over the keys of a scan, or by `pages()`; `cursor` says where a later scan can continue.

    While the items of a page are returned, `cursor` leads to that page: no key is lost, and some may come again. It is
    None before the second page.
    """

    def __init__(self, runner: Runner, reader: ScanReader) -> None:
        self._runner = runner
        self._reader = reader
        self.cursor = reader.cursor

    def pages(self) -> Iterator[Page]:
        """Page by page; `Page.cursor` leads to the next one."""
        while (page := self._runner.run(self._reader.next())) is not None:
            yield page
            self.cursor = page.cursor

    def __iter__(self) -> Iterator[Item]:
        for page in self.pages():
            yield from page.items


class Export:
    """Iterates over the keys of an export. `cursor` is the last one that arrived, `items` counts the items returned.

    A caller that stops before its end calls `close()`, or uses it in a `with` block.
    """

    def __init__(self, runner: Runner, reader: ExportReader) -> None:
        self._runner = runner
        self._reader = reader

    @property
    def cursor(self) -> str | None:
        """Where another export can continue; items after it may have been returned already."""
        return self._reader.cursor

    @property
    def items(self) -> int:
        """How many items were returned."""
        return self._reader.items

    @property
    def complete(self) -> bool:
        """Whether the export's last line has arrived."""
        return self._reader.complete

    def pieces(self) -> Iterator[list[Item]]:
        """Items as they arrive, at least one at a time."""
        while (items := self._runner.run(self._reader.next())) is not None:
            yield items

    def lines(self) -> Iterator[list[bytes]]:
        """The same as lines, byte for byte and without their ends: an import of these lines stores the same items."""
        self._reader.as_lines = True
        return self.pieces()  # type: ignore[return-value]

    def __iter__(self) -> Iterator[Item]:
        for items in self.pieces():
            yield from items

    def close(self) -> None:
        """Close the connection."""
        self._runner.run(self._reader.shut())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()
