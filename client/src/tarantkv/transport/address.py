"""Reads the address of an api."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import urlsplit


class Address(NamedTuple):
    """The parts of an address. `authority` is the host, with the port if the address names one; `prefix` is put before
    every path.
    """

    secure: bool
    host: str
    port: int
    authority: str
    prefix: str


def address_of(url: str) -> Address:
    """The parts of a URL.

    Raises:
        ValueError: it is not the address of an api.
    """
    parts = urlsplit(url)
    if parts.username is not None or parts.password is not None:
        # Not shown, because it may have a password.
        raise ValueError("the address of an api has neither user nor password: give both by themselves")
    host = parts.hostname or ""
    if parts.scheme not in ("http", "https") or not _is_host(host) or parts.query or parts.fragment:
        raise ValueError(f"{url!r} is not the address of an api, such as http://127.0.0.1:8081")
    secure = parts.scheme == "https"
    return Address(secure, host, parts.port or (443 if secure else 80), parts.netloc, parts.path.rstrip("/"))


def _is_host(text: str) -> bool:
    try:
        encoded = text.encode("idna")
    except UnicodeError:
        return False
    return bool(encoded) and not any(byte <= 0x20 or byte == 0x7F for byte in encoded)
