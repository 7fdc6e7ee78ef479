"""An endpoint whose answer comes in pieces, as many as a test wants, and that tells how far it has come."""

import asyncio
from collections.abc import AsyncGenerator

from api.http.endpoint import Principal
from api.http.request import Request
from api.http.response import Answer
from api.overload.memory_budgets import AnswerBudget
from tests.unit.memory_server import Recorder

PIECE = b"x" * 8192


class Streamer(Recorder):
    """Sends `pieces` pieces, or goes on for ever; fails behind the last one if it is to."""

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
