"""Settings of schemathesis that its configuration cannot express: MessagePack, tokens, and one of the document's
examples.

It is loaded in a process of its own (see `test_openapi_document.py`). Its environment has FUZZ_URL and FUZZ_ADDRESS,
and FUZZ_USERNAME and FUZZ_PASSWORD if the run is to log in.
"""

import json
import os
from typing import Any

import httpx
import msgspec
import schemathesis
from schemathesis.generation import GenerationMode

Case = schemathesis.Case[Any]

CREDENTIALS: dict[str, Any] = {name: os.environ.get(f"FUZZ_{name.upper()}", "") for name in ("username", "password")}
EXAMPLE_CREDENTIALS = {"username": "alice", "password": "correct horse battery staple"}
EXAMPLE_USER = "bob"
NO_MESSAGEPACK = b"\xc1"


@schemathesis.serializer("application/msgpack")
def pack(_: schemathesis.SerializationContext, value: Any) -> bytes:
    """A value that MessagePack cannot express was drawn to be refused: send bytes that must be refused, too."""
    try:
        return value if isinstance(value, bytes) else msgspec.msgpack.encode(value)
    except (OverflowError, UnicodeEncodeError):
        return NO_MESSAGEPACK


@schemathesis.serializer("application/x-ndjson")
def lines(_: schemathesis.SerializationContext, value: Any) -> bytes:
    """Lines are text; a value that was drawn to be refused becomes one line of JSON."""
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return text.encode("utf-8", "replace")


@schemathesis.deserializer("application/x-ndjson")
def text_of(_: schemathesis.DeserializationContext, response: schemathesis.Response) -> Any:
    return response.content.decode()


@schemathesis.deserializer("application/msgpack")
def unpack(_: schemathesis.DeserializationContext, response: schemathesis.Response) -> Any:
    return msgspec.msgpack.decode(response.content)


def log_in() -> str:
    """A fresh token."""
    answer = httpx.post(
        f"{os.environ['FUZZ_URL']}/api/login",
        json=CREDENTIALS,
        headers={"X-Forwarded-For": os.environ["FUZZ_ADDRESS"]},
        trust_env=False,
        timeout=30,
    )
    answer.raise_for_status()
    return str(answer.json()["token"])


class Token:
    """One token for all requests, but a new one for every logout, which revokes it."""

    def __init__(self) -> None:
        self._lasting = log_in()

    def get(self, _: Case, context: schemathesis.AuthContext) -> str:
        return log_in() if context.operation.path == "/api/logout" else self._lasting

    def set(self, case: Case, data: str, _: schemathesis.AuthContext) -> None:
        case.headers["Authorization"] = f"Bearer {data}"


def is_beyond_words(value: Any) -> bool:
    """Whether a value has a whole number beyond 64 bits, written with an exponent.

    It is stored as a double, while the same number in digits is refused. JSON Schema cannot express the difference.
    """
    if isinstance(value, dict):
        return any(map(is_beyond_words, value.values()))
    if isinstance(value, list):
        return any(map(is_beyond_words, value))
    return isinstance(value, float) and value.is_integer() and not -(2**63) <= value < 2**64


@schemathesis.hook
def filter_body(_: schemathesis.HookContext, body: Any) -> bool:
    return not is_beyond_words(body)


def _make_whole(members: dict[str, Any]) -> None:
    for name, value in members.items():
        if name not in ("ttl", "expires_at") and isinstance(value, float):
            members[name] = int(value)


def tidy(path: str, body: dict[str, Any]) -> None:
    """Apply the rules of a valid body that JSON Schema cannot express: how its members depend on each other."""
    named = body.get("data", body.get("keys", ()))
    if "options" in body:
        body["options"] = {key: own for key, own in body["options"].items() if key in named}
    if path == "/api/touch" and not {"ttl", "expires_at"} & body.keys():
        body["ttl"] = 60
    for place in (body, *body.get("options", {}).values()):
        if path == "/api/increment":
            # For JSON Schema 1.0 is an integer.
            _make_whole(place)
            _make_whole(place.get("data", {}))
        if place.get("min") is not None:
            # Of a key and of the batch, whichever counts.
            place["max"] = None


def tidy_head(case: Case) -> None:
    """Apply the rules of the headers and the query of one key: which exclude each other, and the form of tags."""
    headers, query = case.headers, case.query or {}
    if case.method != "GET" and "If-None-Match" in headers:
        headers.pop("If-Match", None)
        headers["If-None-Match"] = "*"
    for name in ("If-Match", "If-None-Match"):
        if name in headers and '"' not in headers[name]:
            headers[name] = "*" if headers[name] == "*" else '"0"'
    if "ttl" in query:
        query.pop("expires_at", None)


@schemathesis.hook
def before_call(_: schemathesis.HookContext, case: Case, __: dict[str, Any]) -> None:
    """Replace the example by valid credentials."""
    if CREDENTIALS["username"] and case.body == EXAMPLE_CREDENTIALS:
        case.body = dict(CREDENTIALS)
    if case.operation.path == "/api/users/{name}" and case.path_parameters.get("name") == CREDENTIALS["username"]:
        # Links lead from the list to every user. This user must keep its password, and its rights for the next tests.
        case.path_parameters["name"] = EXAMPLE_USER
    is_good = case.meta is not None and case.meta.generation.mode is GenerationMode.POSITIVE
    if is_good and case.operation.path == "/api/keys/{key}":
        tidy_head(case)
    elif is_good and isinstance(case.body, dict) and case.operation.path.startswith("/api/"):
        tidy(case.operation.path, case.body)


if CREDENTIALS["username"]:
    schemathesis.auth(refresh_interval=None)(Token)
