"""A request whose head is known, as an endpoint sees it."""

from __future__ import annotations

import re
import time
from dataclasses import KW_ONLY, dataclass

from api.http.fields import Fields

_TRACEPARENT = re.compile(rb"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


@dataclass(slots=True)
class Request:
    """A request. `headers` has its fields by lower-case name; `address` is that of its sender.

    `arrived` is the earliest time at which its last byte can have arrived, on the monotonic clock in seconds: its
    deadline counts from then.
    """

    method: str
    path: str
    query: bytes
    headers: Fields
    _: KW_ONLY
    address: str
    request_id: bytes
    arrived: float

    @property
    def arrived_ms(self) -> int:
        """When the request arrived, as Unix time in milliseconds."""
        return time.time_ns() // 1_000_000 - int((time.monotonic() - self.arrived) * 1000)

    @property
    def trace(self) -> str | None:
        """The request's `traceparent`, if it has a valid one."""
        header = self.headers.get(b"traceparent")
        return header.decode("ascii") if header is not None and _TRACEPARENT.fullmatch(header) else None
