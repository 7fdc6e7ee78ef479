"""The access log: which requests are logged, and how many lines strangers can cause."""

import logging

import pytest

from api.http.access_log import MAX_FAILURES_PER_S, AccessLog
from tests.unit.memory_server import Metrics


def logged(log: AccessLog, *statuses: int) -> None:
    for status in statuses:
        log.answered(b"id", "POST", "/api/write", "/api/write", status, 0.001, "203.0.113.9")


@pytest.mark.parametrize(("setting", "expected"), [("all", [200, 404, 503]), ("errors", [404, 503]), ("off", [])])
def test_the_setting_says_which_requests_are_logged(
    caplog: pytest.LogCaptureFixture, setting: str, expected: list[int]
) -> None:
    caplog.set_level(logging.INFO, "api.access")
    metrics = Metrics()
    logged(AccessLog(metrics.request, setting), 200, 404, 503)
    assert [record.__dict__["status"] for record in caplog.records] == expected
    assert metrics.counted == [("/api/write", status) for status in (200, 404, 503)]


def test_the_route_is_logged_instead_of_a_key_and_an_unknown_path_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "api.access")
    log = AccessLog(Metrics().request, "all")
    log.answered(b"id", "GET", "/api/keys/secret", "/api/keys/{key}", 200, 0.001, "203.0.113.9")
    log.answered(b"id", "GET", "/nothing", "other", 404, 0.001, "203.0.113.9")
    assert [record.__dict__["path"] for record in caplog.records] == ["/api/keys/{key}", "/nothing"]


def test_lines_of_failed_requests_are_bounded_and_omitted_lines_are_counted(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO, "api.access")
    now = 1000.0
    monkeypatch.setattr("api.http.access_log.time.monotonic", lambda: now)
    log = AccessLog(Metrics().request, "errors")
    logged(log, *[401] * (MAX_FAILURES_PER_S + 7), 500)
    assert len(caplog.records) == MAX_FAILURES_PER_S + 1, "an error of the server is always logged"
    now += 1.0
    logged(log, 401)
    left_out, line = caplog.records[-2:]
    assert left_out.__dict__["lines"] == 7
    assert line.__dict__["status"] == 401
