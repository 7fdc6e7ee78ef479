"""An endpoint that answers in as many pieces as a test wants, and counts the pieces that it has made."""

import asyncio
from collections.abc import AsyncGenerator

from api.http.endpoint import Principal
from api.http.request import Request
from api.http.response import Answer
from api.overload.memory_budgets import AnswerBudget
from tests.unit.memory_server import Recorder

PIECE = b"x" * 8192


class Streamer(Recorder):
    """Sends `pieces` pieces, or continues for ever; fails after the last one if a test asks for it."""

    method = "GET"
    pieces: int | None = 3
    failure: Exception | None = None

    def start(self, budget: AnswerBudget) -> None:
        """Begin anew: nothing was made, nothing has ended."""
        self.budget = budget
        self.made = 0
        self.ended = asyncio.Event()
        self.may_go_on = asyncio.Event()
        self.may_go_on.set()

    async def handle(self, request: Request, body: bytes, principal: Principal | None) -> Answer:  # noqa: ARG002
        share = self.budget.share("alice")
        share.take(len(PIECE))
        return Answer(200, b"text/plain", b"", ((b"x-more", b"1"),), share, self._pieces())

    async def _pieces(self) -> AsyncGenerator[bytes, None]:
        try:
            while self.pieces is None or self.made < self.pieces:
                await self.may_go_on.wait()
                self.made += 1
                yield PIECE
            if self.failure is not None:
                raise self.failure
        finally:
            self.ended.set()
