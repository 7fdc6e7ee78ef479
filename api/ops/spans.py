"""Makes the spans of sampled requests with OpenTelemetry's SDK. It is imported only here, and only if traces are on.

A request is one span, with three children for each of its chunks: `queue`, `worker` and `shard`. Workers make no spans:
they report times (`protocol.stamps`), from which the children are made.
"""

from __future__ import annotations

import time
from importlib.util import find_spec
from typing import Any, NamedTuple

from api.ops import span_names as names
from protocol.settings.base import SettingsError
from protocol.settings.traces import TraceSettings
from protocol.stamps import Stamp, stamps_in
from protocol.version import VERSION

QUEUE_SPANS = 4096
"""Spans that wait to be sent; further ones are dropped."""

SEND_WITHIN_S = 5.0
SEND_EVERY_MS = 1000


def check_installed(settings: TraceSettings) -> None:
    """Check that the packages for traces are installed, if traces are on.

    Raises:
        SettingsError: they are not installed.
    """
    needed = ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http")
    try:
        missing = settings.traces_endpoint and not all(map(find_spec, needed))
    except ModuleNotFoundError:
        missing = True
    if missing:
        raise SettingsError(
            "TARANTKV_TRACES_ENDPOINT is set, and OpenTelemetry is not installed: docs/tracing.md says how"
        )


class Begun(NamedTuple):
    """The span of a running request, and the `traceparent` that names it."""

    span: Any
    traceparent: bytes


class Spans:
    """Makes spans, which a thread of the SDK sends. `exporter` replaces the one that the settings name."""

    def __init__(self, settings: TraceSettings, process: str, exporter: Any = None) -> None:
        from opentelemetry import trace
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.sampling import ALWAYS_ON

        self._api = trace
        endpoint = settings.traces_endpoint.rstrip("/") + "/v1/traces"
        exporter = exporter or OTLPSpanExporter(endpoint=endpoint, timeout=SEND_WITHIN_S)
        resource = Resource.create(
            {names.SERVICE_NAME: names.SERVICE, names.SERVICE_VERSION: VERSION, names.SERVICE_INSTANCE: process}
        )
        # Whether a request is sampled is decided before its span begins.
        self._provider = TracerProvider(sampler=ALWAYS_ON, resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(
            BatchSpanProcessor(
                exporter,
                max_queue_size=QUEUE_SPANS,
                schedule_delay_millis=SEND_EVERY_MS,
                export_timeout_millis=SEND_WITHIN_S * 1000,
            )
        )
        self._tracer = self._provider.get_tracer("tarantkv", VERSION)

    def begin(self, method: str, route: str, request_id: str, parent: str | None, began_ns: int) -> Begun:
        """Begin the span of a request. `parent` is the request's `traceparent`."""
        span = self._tracer.start_span(
            f"{method} {route}",
            context=self._inside(parent) if parent is not None else None,
            kind=self._api.SpanKind.SERVER,
            attributes={names.METHOD: method, names.ROUTE: route, names.REQUEST_ID: request_id},
            start_time=began_ns,
        )
        context = span.get_span_context()
        return Begun(span, f"00-{context.trace_id:032x}-{context.span_id:016x}-01".encode("ascii"))

    def end(self, begun: Begun, status: int) -> None:
        """End the span of a request that was answered."""
        begun.span.set_attribute(names.STATUS, status)
        if status >= 500:
            begun.span.set_attribute(names.ERROR, str(status))
            begun.span.set_status(self._api.StatusCode.ERROR)
        begun.span.end()

    def stamped(self, payload: Any) -> None:
        """Make the children from the times that a worker reported."""
        received_ns = time.time_ns()
        for stamp in stamps_in(payload):
            self._children(fitted(stamp, received_ns))

    def close(self) -> None:
        """Send the remaining spans; blocks for some seconds at most."""
        self._provider.shutdown()

    def _children(self, stamp: Stamp) -> None:
        inside, kinds = self._inside(stamp.traceparent), self._api.SpanKind
        sent_ns = stamp.sent_ms * 1_000_000
        shard = {names.SHARD_NAME: stamp.shard}
        spans = [
            (names.QUEUE, kinds.PRODUCER, {names.MESSAGING_SYSTEM: names.REDIS}, sent_ns, stamp.taken_ns),
            (names.WORKER, kinds.CONSUMER, {names.MESSAGING_SYSTEM: names.REDIS}, stamp.taken_ns, stamp.replied_ns),
        ]
        if stamp.called_ns:
            database = {names.DB_SYSTEM: names.TARANTOOL}
            spans.append((names.SHARD, kinds.CLIENT, database, stamp.called_ns, stamp.answered_ns))
        for name, kind, attributes, began_ns, ended_ns in spans:
            span = self._tracer.start_span(
                name, context=inside, kind=kind, attributes={**attributes, **shard}, start_time=began_ns
            )
            span.end(ended_ns)

    def _inside(self, traceparent: str) -> Any:
        """The context for a child of the span that a `traceparent` names."""
        _, trace_id, span_id, _ = traceparent.split("-")
        flags = self._api.TraceFlags(self._api.TraceFlags.SAMPLED)
        parent = self._api.SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=flags)
        return self._api.set_span_in_context(self._api.NonRecordingSpan(parent))


def fitted(stamp: Stamp, received_ns: int) -> Stamp:
    """A stamp whose worker's times are moved between the api's own, if the two clocks differ."""
    shift = max(0, stamp.sent_ms * 1_000_000 - stamp.taken_ns)
    shift = min(shift, received_ns - stamp.replied_ns)
    if not shift:
        return stamp
    called = (stamp.called_ns + shift, stamp.answered_ns + shift) if stamp.called_ns else (0, 0)
    return Stamp(*stamp[:3], stamp.taken_ns + shift, *called, stamp.replied_ns + shift)
