"""Writes the page of the api's calls from its OpenAPI document: parameters, members of bodies and answers, problems."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from api.http.problems import Kind
from api.ops import openapi
from docsite.reference.schemas import Schemas, text_of
from docsite.reference.tables import table
from protocol.settings import BatchSettings

_HEAD = """\
# The API, call by call

Every parameter and member of the OpenAPI document (`/schema/openapi.json`), with the limits that are set by default.
[The API](../api.md) explains them with examples. `make docs` writes this page.

"""
_METHODS = ("get", "put", "post", "patch", "delete")
_JSON = ("application/json", "application/x-ndjson", "text/plain", "application/problem+json")

Document = Mapping[str, Any]


def page() -> str:
    """The text of the page."""
    document = openapi.build(BatchSettings())
    schemas = Schemas(document)
    calls = list(_calls(document))
    rows = [[f"[`{method.upper()} {path}`](#{_anchor(method, path)})", call["summary"]] for method, path, call in calls]
    parts = [_HEAD, table(["call", "does"], rows)]
    for method, path, call in calls:
        parts += [f"\n## {method.upper()} {path}\n", *_call(schemas, call)]
    parts += ["\n## Problems\n\nThe types of problem documents, each behind `urn:tarant-kv:problem:`.\n\n"]
    parts += [table(["status", "type", "title"], sorted(_problems()))]
    return "".join(parts)


def _calls(document: Document) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method in _METHODS:
            if method in methods:
                shared = methods.get("parameters", [])
                yield method, path, {**methods[method], "parameters": shared + methods[method].get("parameters", [])}


def _anchor(method: str, path: str) -> str:
    return f"{method}-{path}".replace("/", "").replace("{", "").replace("}", "")


def _call(schemas: Schemas, call: Document) -> Iterator[str]:
    yield f"\n{text_of(call)}\n"
    parameters = [schemas.resolved(parameter) for parameter in call["parameters"]]
    rows = [
        [f"`{one['name']}`", one["in"], schemas.kind(one["schema"]), one.get("description", "")] for one in parameters
    ]
    if rows:
        yield "\n" + table(["parameter", "in", "type", "means"], rows)
    if "requestBody" in call:
        yield from _body("Request", schemas, call["requestBody"])
    for status, answer in call["responses"].items():
        if int(status) < 400 and answer.get("content"):
            yield from _body(status, schemas, schemas.resolved(answer))
    statuses = [f"`{status}`" for status in call["responses"] if int(status) >= 400]
    if statuses:
        yield f"\nProblems: {', '.join(statuses)}.\n"


def _body(what: str, schemas: Schemas, body: Document) -> Iterator[str]:
    content = body["content"]
    media = ", ".join(f"`{name}`" for name in content)
    schema = content[next((name for name in _JSON if name in content), next(iter(content)))].get("schema", {})
    rows = list(schemas.rows(schema))
    yield f"\n**{what}**, {media}{':' if rows else f': {schemas.kind(schema)}'}\n"
    if rows:
        yield "\n" + table(["member", "type", "means"], rows)


def _problems() -> Iterator[list[str]]:
    """All kinds of problems, also those that belong to no single call."""
    for kind in Kind:
        yield [str(kind.status), f"`{kind.urn.rpartition(':')[2]}`", kind.title]
