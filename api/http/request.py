"""A request whose head is known, as an endpoint sees it."""

from __future__ import annotations

import re
import time

from api.http.fields import Fields

_TRACEPARENT = re.compile(rb"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


class Request:
    """A request. `headers` has its fields by lower-case name; `address` is that of its sender.

    `arrived` is the earliest time at which its last byte can have arrived, on the monotonic clock in seconds: its
    deadline counts from then.
    """

    __slots__ = ("address", "arrived", "headers", "method", "path", "query", "request_id")

    def __init__(
        self,
        method: str,
        path: str,
        query: bytes,
        headers: Fields,
        *,
        address: str,
        request_id: bytes,
        arrived: float,
    ) -> None:
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
        self.address = address
        self.request_id = request_id
        self.arrived = arrived

    @property
    def arrived_ms(self) -> int:
        """When the request arrived, as Unix time in milliseconds."""
        return time.time_ns() // 1_000_000 - int((time.monotonic() - self.arrived) * 1000)

    @property
    def trace(self) -> str | None:
        """The request's `traceparent`, if it has a valid one."""
        header = self.headers.get(b"traceparent")
        return header.decode("ascii") if header is not None and _TRACEPARENT.fullmatch(header) else None
