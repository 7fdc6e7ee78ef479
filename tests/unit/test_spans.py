"""Spans of requests: which are made, what they contain, and how those of the workers are added."""

import asyncio
import time
from typing import Any

import pytest

from api.http.endpoint import Served
from api.http.request import Request
from api.http.response import Answer
from api.ops import spans as module
from api.ops.spans import Spans, check_installed, fitted
from api.ops.traced import Traced
from protocol.settings.base import SettingsError
from protocol.settings.traces import TraceSettings
from protocol.stamps import Stamp, outcome_of

SETTINGS = TraceSettings(traces_endpoint="http://127.0.0.1:1")
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
MS = 1_000_000


class Endpoint(Served):
    path = "/api/keys/{key}"
    body_limit = 5
    methods = ("GET",)

    def __init__(self, status: int) -> None:
        self._status = status
        self.traces: list[str | None] = []

    def check(self, _: Any) -> None: ...

    def user_of(self, _: Any) -> None: ...

    async def answer(self, request: Request, body: bytes) -> Answer:  # noqa: ARG002
        self.traces.append(request.trace)
        if not self._status:
            raise OSError
        return Answer(self._status, b"", b"")


@pytest.fixture
def exporter() -> Any:
    found = pytest.importorskip("opentelemetry.sdk.trace.export.in_memory_span_exporter", reason="the extra traces")
    return found.InMemorySpanExporter()


@pytest.fixture
def spans(exporter: Any) -> Spans:
    return Spans(SETTINGS, "p1", exporter)


def asked(spans: Spans, status: int = 200, trace: str | None = None, ratio: float = 1.0) -> Endpoint:
    endpoint = Endpoint(status)
    traced: Served = Traced(endpoint, spans, ratio)
    assert (traced.path, traced.body_limit, traced.methods) == (endpoint.path, 5, ("GET",))
    headers = {} if trace is None else {b"traceparent": trace.encode()}
    request = Request(
        "GET", "/api/keys/secret", b"", headers, address="", request_id=b"r1", arrived=time.monotonic() - 0.5
    )
    try:
        asyncio.run(traced.answer(request, b""))
    except OSError:
        assert status == 0
    return endpoint


def done(spans: Spans, exporter: Any) -> list[Any]:
    spans.close()
    found: list[Any] = list(exporter.get_finished_spans())
    return found


def test_a_request_is_a_span_by_its_route_and_the_parent_of_what_follows(spans: Spans, exporter: Any) -> None:
    endpoint = asked(spans, 404)
    (span,) = done(spans, exporter)
    context = span.get_span_context()
    assert span.name == "GET /api/keys/{key}"
    assert endpoint.traces == [f"00-{context.trace_id:032x}-{context.span_id:016x}-01"]
    assert dict(span.attributes) == {
        "http.request.method": "GET",
        "http.route": "/api/keys/{key}",
        "http.response.status_code": 404,
        "tarantkv.request_id": "r1",
    }
    assert 0.4 < (span.end_time - span.start_time) / 1e9 < 60, "the span begins when the request arrived"
    assert span.resource.attributes["service.name"] == "tarantkv-api"
    assert span.status.is_ok or span.status.is_unset
    assert "secret" not in span.to_json()


@pytest.mark.parametrize("status", [503, 0])
def test_a_request_that_failed_is_an_error(spans: Spans, exporter: Any, status: int) -> None:
    asked(spans, status)
    (span,) = done(spans, exporter)
    assert (span.attributes["error.type"], span.status.is_ok) == (str(status or 500), False)


def test_a_clients_trace_is_continued_only_if_it_is_sampled(spans: Spans, exporter: Any) -> None:
    endpoint = asked(spans, trace=PARENT, ratio=0.0)
    unsampled = PARENT[:-1] + "0"
    assert asked(spans, trace=unsampled, ratio=1.0).traces == [unsampled]
    assert asked(spans, ratio=0.0).traces == [None]
    (span,) = done(spans, exporter)
    assert f"{span.parent.span_id:016x}" == "b7ad6b7169203331"
    assert f"{span.get_span_context().trace_id:032x}" == "0af7651916cd43dd8448eb211c80319c"
    assert endpoint.traces != [PARENT]


def test_times_from_workers_become_children_of_the_request_s_span(spans: Spans, exporter: Any) -> None:
    now = time.time_ns()
    sent_ms = now // MS - 100
    stamp = Stamp(PARENT, "s2", sent_ms, now - 80 * MS, now - 60 * MS, now - 40 * MS, now - 20 * MS)
    spans.stamped(outcome_of([stamp, stamp._replace(called_ns=0, answered_ns=0)]).payload)
    spans.stamped(b"nothing that is known")
    first = done(spans, exporter)
    assert [span.name for span in first] == ["queue", "worker", "shard", "queue", "worker"]
    for span in first:
        assert f"{span.parent.span_id:016x}" == "b7ad6b7169203331"
        assert span.attributes["tarantkv.shard"] == "s2"
    queue, worker, shard, *_ = first
    assert (queue.start_time, queue.end_time) == (sent_ms * MS, stamp.taken_ns)
    assert (worker.start_time, worker.end_time) == (stamp.taken_ns, stamp.replied_ns)
    assert (shard.start_time, shard.end_time) == (stamp.called_ns, stamp.answered_ns)


@pytest.mark.parametrize("skew_ms", [0, -5000, 5000])
def test_times_of_a_worker_with_another_clock_are_moved_between_those_of_the_api(skew_ms: int) -> None:
    taken, called, answered, replied = (100_000 * MS + (each + skew_ms) * MS for each in (10, 20, 30, 40))
    stamp = fitted(Stamp(PARENT, "s1", 100_000, taken, called, answered, replied), 100_050 * MS)
    assert 100_000 * MS <= stamp.taken_ns <= stamp.called_ns <= stamp.answered_ns <= stamp.replied_ns <= 100_050 * MS
    assert stamp.answered_ns - stamp.called_ns == 10 * MS


def test_without_the_packages_for_traces_the_setting_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(_: str) -> None: ...

    monkeypatch.setattr(module, "find_spec", none)
    check_installed(TraceSettings())
    with pytest.raises(SettingsError, match=r"TARANTKV_TRACES_ENDPOINT.*docs/tracing\.md"):
        check_installed(SETTINGS)
