"""Reads a scan page by page. A page that fails is requested again; a scan can continue from its cursor at any time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tarantkv.effects import Steps
from tarantkv.errors import InternalError, InvalidRequestError
from tarantkv.models import Item, Page
from tarantkv.sending import Call, Sender
from tarantkv.wire import document


class ScanReader:
    """`cursor` leads to the page that `next` reads; None: the first one."""

    def __init__(self, sender: Sender, cursor: str | None, limit: int, selection: Mapping[str, Any]) -> None:
        if cursor is not None and selection:
            raise InvalidRequestError("a cursor holds the selection: give either")
        self._sender = sender
        self._limit = limit
        self._selection = dict(selection)
        self.cursor = cursor
        self.complete = False

    def next(self) -> Steps[Page | None]:
        """The next page, which may be empty; None after the last."""
        if self.complete:
            return None
        asked = self._selection if self.cursor is None else {"cursor": self.cursor}
        call = Call("/api/scan", document({**asked, "limit": self._limit}))
        page = _page((yield from self._sender.document(call, self._sender.until())))
        self.complete, self.cursor = page.complete, page.cursor
        return page


def _page(answer: dict[str, Any]) -> Page:
    complete, cursor = answer.get("complete"), answer.get("cursor")
    if not complete and not isinstance(cursor, str):
        raise InternalError("a page of a scan is not the last, and has no cursor")
    return Page([Item(**item) for item in answer.get("items", ())], cursor, complete is True)
