"""The api's calls over one keep-alive connection. Each answer is compared with the OpenAPI document."""

import json
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, Self

import httpx
import msgspec

from tests.contract.documented import Documented
from tests.contract.sending import Sending, Transport

JSON = "application/json"
MSGPACK = "application/msgpack"
PROBLEM = "application/problem+json"
TIMEOUT_S = 30.0


def json_body(document: Any) -> bytes:
    """JSON as a careful client writes it: Unicode without escapes, and no `NaN`."""
    return json.dumps(document, ensure_ascii=False, allow_nan=False).encode()


def msgpack_body(document: Any) -> bytes:
    """MessagePack; bytes in `msgspec.Raw` are sent unchanged."""
    return msgspec.msgpack.encode(document)


def decoded(response: httpx.Response) -> Any:
    """The document of an answer, by its media type."""
    if response.headers["content-type"] == MSGPACK:
        return msgspec.msgpack.decode(response.content)
    return json.loads(response.content)


def connection_of(response: httpx.Response) -> tuple[str, int]:
    """The client's address of the connection on which an answer came: the same address means the same connection."""
    address: tuple[str, int] = response.extensions["network_stream"].get_extra_info("client_addr")
    return address


def obtain_token(base_url: str, user: str, password: str, headers: Mapping[str, str] | None = None) -> str:
    """Log in."""
    answer = httpx.post(
        f"{base_url}/api/login",
        json={"username": user, "password": password},
        headers=dict(headers or {}),
        timeout=TIMEOUT_S,
        trust_env=False,
        verify=False,
    )
    assert answer.status_code == 200, answer.text
    token: str = answer.json()["token"]
    return token


class Api:
    """An api as one client sees it."""

    def __init__(
        self,
        base_url: str,
        token: str | None = None,
        documented: Documented | None = None,
        sending: Sending = Sending.BY_CHANCE,
    ) -> None:
        hooks = {"response": [documented.check]} if documented is not None else {}
        transport = Transport(sending, keepalive_expiry=TIMEOUT_S)
        self.http = httpx.Client(
            base_url=base_url, timeout=TIMEOUT_S, trust_env=False, transport=transport, event_hooks=hooks
        )
        self.token = token

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.http.close()

    def post(
        self, path: str, content: bytes | Iterable[bytes] = b"", headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """Post to `/api/{path}`: JSON with this client's token, unless `headers` say otherwise."""
        every = {"content-type": JSON, "accept": JSON}
        if self.token is not None:
            every["authorization"] = self.token
        every |= {name.lower(): value for name, value in (headers or {}).items()}
        return self.http.post(f"/api/{path}", content=content, headers={k: v for k, v in every.items() if v})

    def ask(self, call: str, document: Any, as_: str = JSON, **headers: str) -> httpx.Response:
        """Make a call with a body in a format, and ask for the answer in the same."""
        body = json_body(document) if as_ == JSON else msgpack_body(document)
        return self.post(call, body, {"content-type": as_, "accept": as_, **headers})

    def done(self, call: str, document: Any, as_: str = JSON, **headers: str) -> dict[str, Any]:
        """The answer of a call, which must succeed."""
        answer = self.ask(call, document, as_, **headers)
        assert answer.status_code == 200, answer.text[:500]
        assert answer.headers["content-type"] == as_
        content: dict[str, Any] = decoded(answer)
        return content

    def write(self, data: Mapping[str, Any], *, as_: str = JSON, **headers: str) -> None:
        """Write a batch, which must succeed."""
        body = json_body({"data": data}) if as_ == JSON else msgpack_body({"data": data})
        answer = self.post("write", body, {"content-type": as_, **headers})
        assert (answer.status_code, answer.content) == (200, b'{"status":"success"}'), answer.text[:500]

    def read(self, *keys: str, as_: str = JSON) -> dict[str, Any]:
        """Read a batch; all of its keys must exist."""
        document = self.read_document(*keys, as_=as_)
        assert list(document) == ["data"], document
        data: dict[str, Any] = document["data"]
        return data

    def read_document(self, *keys: str, as_: str = JSON) -> dict[str, Any]:
        """Read a batch; the whole answer."""
        answer = self.post("read", json_body({"keys": keys}), {"accept": as_})
        assert answer.status_code == 200, answer.text[:500]
        assert answer.headers["content-type"] == as_
        document: dict[str, Any] = decoded(answer)
        return document

    def read_raw(self, *keys: str) -> dict[str, bytes]:
        """Read a batch as MessagePack; each value stays the bytes that were received."""
        answer = self.post("read", json_body({"keys": keys}), {"accept": MSGPACK})
        assert answer.status_code == 200, answer.text[:500]
        document = msgspec.msgpack.decode(answer.content, type=dict[str, dict[str, msgspec.Raw]])
        return {key: bytes(value) for key, value in document["data"].items()}

    def delete(self, *keys: str, **headers: str) -> int:
        """Delete a batch, which must succeed; returns how many keys existed."""
        answer = self.post("delete", json_body({"keys": keys}), headers)
        assert answer.status_code == 200, answer.text[:500]
        document = answer.json()
        assert document == {"status": "success", "deleted": document["deleted"]}
        return int(document["deleted"])

    def live(self) -> httpx.Response:
        """Ask whether the api is alive: the cheapest request, to see whether a connection is usable."""
        return self.http.get("/health/live")
