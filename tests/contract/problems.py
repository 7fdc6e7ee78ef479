"""Checks problem documents (RFC 9457), and that their connection stays open."""

import json
from typing import Any

import httpx

from tests.contract.calls import PROBLEM, Api, connection_of
from tests.contract.documented import PROBLEM_PREFIX

STATUS = {
    "malformed-body": 400,
    "invalid-request": 400,
    "empty-batch": 400,
    "too-many-keys": 400,
    "invalid-key": 400,
    "invalid-value": 400,
    "invalid-header": 400,
    "unauthorized": 401,
    "forbidden": 403,
    "not-found": 404,
    "key-not-found": 404,
    "user-not-found": 404,
    "method-not-allowed": 405,
    "not-acceptable": 406,
    "body-timeout": 408,
    "condition-failed": 409,
    "user-exists": 409,
    "user-changed": 409,
    "last-administrator": 409,
    "precondition-failed": 412,
    "body-too-large": 413,
    "answer-too-large": 413,
    "unsupported-media-type": 415,
    "unsupported-content-coding": 415,
    "idempotency-key-reused": 422,
    "too-many-logins": 429,
    "database-refused": 500,
    "overloaded": 503,
    "deadline-passed": 503,
    "shard-unavailable": 503,
    "not-ready": 503,
    "outcome-unknown": 504,
}


def problem_of(response: httpx.Response, kind: str, mentions: str = "") -> dict[str, Any]:
    """The problem document of an answer; it must be of `kind`, complete, and mention the fault."""
    assert response.status_code == STATUS[kind], response.text[:500]
    assert response.headers["content-type"] == PROBLEM
    problem: dict[str, Any] = json.loads(response.content)
    assert problem["type"] == PROBLEM_PREFIX + kind, problem
    assert problem["status"] == response.status_code
    assert problem["title"]
    assert problem["request_id"] == response.headers["x-request-id"]
    assert mentions in problem["detail"], problem
    return problem


def pointers(problem: dict[str, Any]) -> list[str]:
    """The places in the body that a problem points at."""
    return [error["pointer"] for error in problem.get("errors", [])]


def assert_usable(api: Api, response: httpx.Response) -> None:
    """Check that the connection of an answer accepts the next request."""
    following = api.live()
    assert following.status_code == 200
    assert connection_of(following) == connection_of(response), "the connection was closed"
