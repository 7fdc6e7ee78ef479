"""Exports of shards in memory: the content of their lines, how they are resumed, and the memory that they hold."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from api.auth.authenticator import unauthorized
from api.http.request import Request
from api.http.response import Answer
from api.lifecycle import Lifecycle
from api.ops.scan_metrics import ScanMetrics
from api.overload.memory_budgets import AnswerBudget
from api.queue.topology import Topology
from api.scan import export as exporting
from api.scan.cursors import Cursors
from api.scan.export import Export
from api.scan.reading import Reading
from api.scan.shards import Failure, ScanShards
from protocol.operations import Status
from protocol.settings import BatchSettings
from tests.unit.memory_server import KnownUsers
from tests.unit.scan_fakes import FakeShards

KEYS = [f"{number:03}" for number in range(60)]


class Exporting:
    """An api's export of some shards."""

    def __init__(self, keys: Iterable[str] = KEYS) -> None:
        self.fakes = FakeShards(2, keys, at_most=5)
        self.answers = AnswerBudget(1 << 20)
        self.lifecycle = Lifecycle()
        self.registry = CollectorRegistry()
        reading = Reading(
            cast("ScanShards", self.fakes),
            cast("Topology", SimpleNamespace(map=self.fakes.map)),
            Cursors(("s" * 32,), lambda: "here"),
            self.answers,
            ScanMetrics(self.registry),
        )
        self.endpoint = Export(reading, self.lifecycle, 0.0, KnownUsers(), BatchSettings())

    async def ask(self, query: str = "") -> Answer:
        now = asyncio.get_running_loop().time()
        headers = {b"authorization": b"alice"}
        request = Request("GET", Export.path, query.encode(), headers, address="", request_id=b"id", arrived=now)
        return await self.endpoint.answer(request, b"")

    async def whole(self, query: str = "") -> bytes:
        answer = await self.ask(query)
        assert answer.pieces is not None, answer
        return b"".join([piece async for piece in answer.pieces])

    def under_way(self) -> float | None:
        return self.registry.get_sample_value("tarantkv_scan_exports_under_way")


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "PAGE_KEYS", 4)
    monkeypatch.setattr(exporting, "CURSOR_ITEMS", 8)


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(scenario(), 50))


def lines_of(raw: bytes) -> list[dict[str, Any]]:
    """The complete lines."""
    return [json.loads(line) for line in raw.split(b"\n")[:-1]]


def test_a_reader_that_is_cut_off_at_any_byte_can_continue_at_its_last_cursor() -> None:
    async def scenario() -> None:
        served = Exporting(KEYS[:30])
        raw = await served.whole()
        assert lines_of(raw)[-1] == {"end": True, "items": 30}
        resumed: dict[str, list[dict[str, Any]]] = {}
        for cut in range(len(raw)):
            kept: list[str] = []
            since: list[str] = []
            cursor = ""
            lines = lines_of(raw[:cut])
            assert not any("end" in line for line in lines)
            for line in lines:
                if "key" in line:
                    since.append(line["key"])
                else:
                    cursor = line["cursor"]
                    kept, since = kept + since, []
                    assert line["items"] == len(kept)
            if cursor not in resumed:
                resumed[cursor] = lines_of(await served.whole(f"cursor={cursor}" if cursor else ""))
            rest = resumed[cursor]
            assert kept + [line["key"] for line in rest if "key" in line] == KEYS[:30]
            assert rest[-1] == {"end": True, "items": 30}
        assert len(resumed) > 3
        assert served.answers.held == 0
        assert served.under_way() == 0

    run(scenario)


def test_an_export_ends_when_its_user_loses_access() -> None:
    async def scenario() -> None:
        served = Exporting()
        answer = await served.ask()
        assert answer.pieces is not None
        pieces = [await anext(answer.pieces) for _ in range(3)]

        async def disabled(*_: object) -> None:
            raise unauthorized("the user is disabled")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(KnownUsers, "authenticate_again", disabled)
            pieces += [piece async for piece in answer.pieces]
        *before, last = lines_of(b"".join(pieces))
        assert len(before) < len(KEYS)
        assert set(last) == {"error", "cursor"}
        assert last["error"]["status"] == 401
        assert served.answers.held == 0

    run(scenario)


def test_an_export_has_a_cursor_every_few_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "CURSOR_ITEMS", 10**9)
    monkeypatch.setattr(exporting, "CURSOR_S", 0.0)

    async def scenario() -> None:
        lines = lines_of(await Exporting().whole())
        assert sum("cursor" in line for line in lines) > 5

    run(scenario)


def test_a_failure_before_the_first_byte_is_a_problem_document() -> None:
    async def scenario() -> None:
        served = Exporting()
        served.fakes.failing["s1"] = Failure("s1", Status.UNREACHABLE, "why")
        answer = await served.ask()
        assert (answer.status, answer.media_type) == (503, b"application/problem+json")
        assert answer.pieces is None
        assert served.answers.held == 0

    run(scenario)


@pytest.mark.parametrize("at", range(1, 9))
def test_a_failure_in_the_middle_is_the_last_line_with_a_cursor(at: int) -> None:
    async def scenario() -> None:
        served = Exporting()

        def fail(number: int) -> None:
            if number == at + 1:
                served.fakes.failing["s0"] = Failure("s0", Status.UNKNOWN, "why")

        served.fakes.before = fail
        lines = lines_of(await served.whole())
        *before, last = lines
        assert set(last) == {"error", "cursor"}
        assert last["error"]["status"] == 503
        assert last["error"]["request_id"] == "id"
        assert not any("end" in line for line in before)
        served.fakes.failing.clear()
        served.fakes.before = lambda _: None
        rest = lines_of(await served.whole(f"cursor={last['cursor']}"))
        assert [line["key"] for line in (*before, *rest) if "key" in line] == KEYS
        assert rest[-1] == {"end": True, "items": len(KEYS)}

    run(scenario)


def test_an_unexpected_error_shows_the_client_no_details() -> None:
    async def scenario() -> None:
        served = Exporting()

        def fail(number: int) -> None:
            if number == 6:
                raise RuntimeError("secret")

        served.fakes.before = fail
        raw = await served.whole()
        assert lines_of(raw)[-1]["error"]["type"] == "urn:tarant-kv:problem:internal-error"
        assert b"secret" not in raw

    run(scenario)


def test_a_process_that_ends_ends_its_exports() -> None:
    async def scenario() -> None:
        served = Exporting()
        answer = await served.ask()
        assert answer.pieces is not None
        first = await anext(answer.pieces)
        served.lifecycle.draining = True
        lines = lines_of(first + b"".join([piece async for piece in answer.pieces]))
        assert lines[-1]["error"]["type"] == "urn:tarant-kv:problem:not-ready"
        assert len(lines) < len(KEYS)
        rest = lines_of(await Exporting().whole(f"cursor={lines[-1]['cursor']}"))
        assert [line["key"] for line in (*lines, *rest) if "key" in line] == KEYS

    run(scenario)


def test_a_slow_client_holds_one_page_in_memory_and_no_shard(monkeypatch: pytest.MonkeyPatch) -> None:
    """No shard is asked before the client has taken the last piece. Pieces that were taken are not counted any more."""
    monkeypatch.setattr(exporting, "PAGE_BYTES", 4000)

    async def scenario() -> None:
        served = Exporting()
        served.fakes.keys = dict.fromkeys(KEYS, msgspec.Raw(b"\xda\x03\xe8" + b"x" * 1000))
        answer = await served.ask()
        assert answer.pieces is not None
        asked = len(served.fakes.asked)
        assert asked == 2
        longest = 0
        async for piece in answer.pieces:
            longest = max(longest, len(piece))
            # The last answers of two shards, and their answers for the page that is being sent.
            assert served.answers.held <= 4 * 10
            assert len(served.fakes.asked) - asked <= 2
            asked = len(served.fakes.asked)
        assert longest < 6000
        assert served.under_way() == 0

    run(scenario)


def test_a_client_that_disconnects_leaves_nothing_behind() -> None:
    async def scenario() -> None:
        served = Exporting()
        answer = await served.ask()
        assert answer.pieces is not None
        assert answer.share is not None
        await anext(answer.pieces)
        assert served.under_way() == 1
        await answer.pieces.aclose()
        assert served.under_way() == 0
        # A client that disconnects before the first piece was made.
        answer = await served.ask()
        assert answer.pieces is not None
        assert answer.share is not None
        await answer.pieces.aclose()
        answer.share.release()
        assert served.answers.held == 0

    run(scenario)
