"""The client of tarant-kv: `Client`, `AsyncClient`, and the errors they raise (`tarantkv.errors`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tarantkv import errors
from tarantkv._version import VERSION
from tarantkv.client import Client
from tarantkv.errors import TarantKVError
from tarantkv.models import Item, KeyMeta, Page, ReadResult, TouchResult, User
from tarantkv.policy import Policy
from tarantkv.session import Credentials

if TYPE_CHECKING:
    from tarantkv.async_client import AsyncClient

__all__ = [
    "AsyncClient",
    "Client",
    "Credentials",
    "Item",
    "KeyMeta",
    "Page",
    "Policy",
    "ReadResult",
    "TarantKVError",
    "TouchResult",
    "User",
    "errors",
]
__version__ = VERSION


def __getattr__(name: str) -> Any:
    """Import `AsyncClient` when it is first used: asyncio and httpx2 take longer to start than a whole call."""
    if name == "AsyncClient":
        from tarantkv.async_client import AsyncClient

        return AsyncClient
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
