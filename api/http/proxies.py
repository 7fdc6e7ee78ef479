"""Finds the address of a request's sender; a trusted proxy names it in `X-Forwarded-For`."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

EVERYBODY = "*"
MAX_ADDRESS_LENGTH = 64
"""The longest address that is logged and counted; a longer text is not an address."""


class TrustedProxies:
    """Which peers are proxies: addresses and networks, separated by commas; `*` for all peers."""

    def __init__(self, trusted: str) -> None:
        self._everybody = trusted.strip() == EVERYBODY
        parts = [] if self._everybody else trusted.split(",")
        self._networks = [ip_network(part.strip()) for part in parts if part.strip()]

    def client(self, peer: str, forwarded: bytes | None) -> str:
        """The sender of a request from `peer`: the last address in `forwarded` that is not a trusted proxy."""
        if forwarded is None or not self._trusts(peer):
            return peer
        named = [_without_port(part) for part in forwarded.decode("latin-1").split(",") if part.strip()]
        if self._everybody:
            return named[0] if named else peer
        for address in reversed(named):
            if not self._trusts(address):
                return address
        return named[0] if named else peer

    def _trusts(self, text: str) -> bool:
        if self._everybody:
            return True
        try:
            address = ip_address(text)
        except ValueError:
            return False
        address = getattr(address, "ipv4_mapped", None) or address
        return any(address in network for network in self._networks)


def _without_port(text: str) -> str:
    """An address as `X-Forwarded-For` names it, without brackets and port."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    return text[:MAX_ADDRESS_LENGTH]
