"""The spans of one request, which real servers send to a collector, form one trace."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from localcluster.cluster import Cluster
from tests.contract.calls import Api, obtain_token
from tests.contract.waiting import until
from tests.integration.conftest import NewApi

otlp = pytest.importorskip("opentelemetry.proto.collector.trace.v1.trace_service_pb2", reason="the extra traces")
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Collector:
    """Accepts spans over HTTP, as a collector does."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        self.raw = b""
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    import gzip

                    body = gzip.decompress(body)
                asked = otlp.ExportTraceServiceRequest.FromString(body)
                owner.raw += body
                for resource in asked.resource_spans:
                    for scope in resource.scope_spans:
                        owner.spans += scope.spans
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def of(self, trace_id: str) -> list[Any]:
        return [span for span in self.spans if span.trace_id.hex() == trace_id]


@pytest.fixture
def collector() -> Iterator[Collector]:
    collector = Collector()
    thread = threading.Thread(target=collector.server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield collector
    collector.server.shutdown()
    thread.join()
    collector.server.server_close()


def test_a_sampled_request_is_one_trace_and_other_requests_have_none(
    cluster: Cluster, new_api: NewApi, collector: Collector
) -> None:
    process = new_api(TARANTKV_TRACES_ENDPOINT=collector.url, TARANTKV_TRACES_RATIO="0")
    token = obtain_token(process.base_url, cluster.admin_user, cluster.admin_password)
    with Api(process.base_url, token) as api:
        keys = [f"traced-secret-{number}" for number in range(30)]
        api.write(dict.fromkeys(keys, "a value that is secret"), traceparent=PARENT)
        api.write({keys[0]: 1}, traceparent=PARENT[:-1] + "0")
        api.write({keys[0]: 1})
        assert api.delete(*keys) == 30
    trace_id = PARENT.split("-")[1]
    until(lambda: any(span.name == "POST /api/write" for span in collector.of(trace_id)), 20, "nothing is sent")
    until(lambda: len(collector.of(trace_id)) == 10, 20, "spans are missing")
    spans = collector.of(trace_id)
    (request,) = [span for span in spans if span.name == "POST /api/write"]
    assert request.parent_span_id.hex() == PARENT.split("-")[2]
    for name in ("queue", "worker", "shard"):
        children = [span for span in spans if span.name == name]
        told = [pair for span in children for pair in span.attributes if pair.key == "tarantkv.shard"]
        assert sorted(pair.value.string_value for pair in told) == ["s1", "s2", "s3"]
        for span in children:
            assert span.parent_span_id == request.span_id
            # To a millisecond: the api reports in milliseconds when it sent a frame.
            assert request.start_time_unix_nano - 1e6 <= span.start_time_unix_nano <= span.end_time_unix_nano
            assert span.end_time_unix_nano <= request.end_time_unix_nano
    assert {span.trace_id.hex() for span in collector.spans} == {trace_id}
    assert b"secret" not in collector.raw
    assert token.encode() not in collector.raw
