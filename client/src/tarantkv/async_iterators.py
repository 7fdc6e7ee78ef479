"""The scans and exports of the asynchronous client: iterators that know where to continue."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import TracebackType
from typing import Self

from tarantkv.async_runner import AsyncRunner
from tarantkv.export import ExportReader
from tarantkv.models import Item, Page
from tarantkv.scan import ScanReader


class AsyncScan:
    """Like `tarantkv.iterators.Scan`, for `async for`."""

    def __init__(self, runner: AsyncRunner, reader: ScanReader) -> None:
        self._runner = runner
        self._reader = reader
        self.cursor = reader.cursor

    async def pages(self) -> AsyncIterator[Page]:
        """Page by page; `Page.cursor` leads to the next one."""
        while (page := await self._runner.run(self._reader.next())) is not None:
            yield page
            self.cursor = page.cursor

    async def __aiter__(self) -> AsyncIterator[Item]:
        async for page in self.pages():
            for item in page.items:
                yield item


class AsyncExport:
    """Like `tarantkv.iterators.Export`, for `async for` and `async with`."""

    def __init__(self, runner: AsyncRunner, reader: ExportReader) -> None:
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

    async def pieces(self) -> AsyncIterator[list[Item]]:
        """Items as they arrive, at least one at a time."""
        while (items := await self._runner.run(self._reader.next())) is not None:
            yield items

    def lines(self) -> AsyncIterator[list[bytes]]:
        """The same as lines, byte for byte and without their ends: an import of these lines stores the same items."""
        self._reader.as_lines = True
        return self.pieces()  # type: ignore[return-value]

    async def __aiter__(self) -> AsyncIterator[Item]:
        async for items in self.pieces():
            for item in items:
                yield item

    async def close(self) -> None:
        """Close the connection."""
        await self._runner.run(self._reader.shut())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        await self.close()
