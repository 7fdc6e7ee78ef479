"""Checks every answer that a test gets against the OpenAPI document."""

import json
from dataclasses import dataclass
from typing import Any

import httpx

PROBLEM_PREFIX = "urn:tarant-kv:problem:"
PATTERNS = ("/api/keys/{key}", "/api/users/{name}")
UNDOCUMENTED = (404, 405)
"""The statuses of paths and methods that are not in the document."""


@dataclass(frozen=True)
class Documented:
    """The OpenAPI document."""

    document: dict[str, Any]

    @classmethod
    def of(cls, base_url: str) -> "Documented":
        answer = httpx.get(f"{base_url}/schema/openapi.json", timeout=30, trust_env=False, verify=False)
        assert answer.status_code == 200, answer.text
        return cls(answer.json())

    def responses(self, path: str, method: str) -> dict[str, Any] | None:
        """The answers of an operation, by status; None if there is no such operation."""
        named = next((each for each in PATTERNS if path.startswith(each.partition("{")[0])), path)
        operation = self.document["paths"].get(named, {}).get("get" if method == "HEAD" else method.lower())
        return operation["responses"] if operation is not None else None

    def check(self, response: httpx.Response) -> None:
        """Compare an answer with the document, as a response hook of an httpx client."""
        request = response.request
        path = request.extensions["target"].decode() if "target" in request.extensions else request.url.path
        place = f"{request.method} {path} -> {response.status_code}"
        promised = self.responses(path, request.method)
        if promised is None or (request.method == "HEAD" and response.status_code == 405):
            reads = request.method in ("GET", "HEAD", "OPTIONS")
            assert response.status_code in UNDOCUMENTED or (reads and response.status_code < 400), place
            return
        assert str(response.status_code) in promised, f"{place} is not documented"
        answer = promised[str(response.status_code)]
        if "content" in answer:
            media_type = response.headers["content-type"].partition(";")[0]
            assert media_type in answer["content"], f"{place}: {media_type} is not documented"
        for name in answer.get("headers", {}):
            assert name in response.headers, f"{place}: the header {name} is missing"
        for name in ("retry-after", "www-authenticate"):
            if name in response.headers:
                names = {documented.lower() for documented in answer.get("headers", {})}
                assert name in names, f"{place}: the header {name} is not documented"
        if response.status_code >= 400 and request.method != "HEAD":
            response.read()
            self._check_problem(place, answer, json.loads(response.content))

    def _check_problem(self, place: str, answer: dict[str, Any], problem: dict[str, Any]) -> None:
        schema = self.document["components"]["schemas"]["Problem"]
        assert set(schema["required"]) <= set(problem) <= set(schema["properties"]), f"{place}: {problem}"
        examples = answer["content"]["application/problem+json"]["examples"]
        kind = problem["type"].removeprefix(PROBLEM_PREFIX)
        assert kind in examples, f"{place}: the problem {kind} is not documented"
        assert problem["title"] == examples[kind]["value"]["title"]
