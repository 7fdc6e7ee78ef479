"""Which address counts as the client's, with and without proxies."""

import pytest

from api.http.proxies import TrustedProxies

FORWARDED = {
    "nothing": ("127.0.0.1", None, "127.0.0.1"),
    "an empty list": ("127.0.0.1", b"", "127.0.0.1"),
    "a client": ("127.0.0.1", b"203.0.113.7", "203.0.113.7"),
    "a client and a proxy": ("127.0.0.1", b"198.51.100.1, 203.0.113.7, 127.0.0.1", "203.0.113.7"),
    "a network of proxies": ("10.1.2.3", b"203.0.113.7, 10.9.9.9", "203.0.113.7"),
    "only proxies": ("127.0.0.1", b"10.0.0.1, 10.0.0.2", "10.0.0.1"),
    "a port": ("127.0.0.1", b"203.0.113.7:443", "203.0.113.7"),
    "brackets and a port": ("127.0.0.1", b"[2001:db8::1]:443", "2001:db8::1"),
    "a mapped peer": ("::ffff:127.0.0.1", b"203.0.113.7", "203.0.113.7"),
    "a stranger": ("192.0.2.1", b"203.0.113.7", "192.0.2.1"),
    "no address": ("127.0.0.1", b"x" * 1000, "x" * 64),
}


@pytest.mark.parametrize("name", FORWARDED)
def test_the_last_address_that_is_not_a_trusted_proxy_is_the_clients(name: str) -> None:
    peer, forwarded, client = FORWARDED[name]
    assert TrustedProxies("127.0.0.1, 10.0.0.0/8").client(peer, forwarded) == client


def test_without_trusted_proxies_the_header_is_ignored() -> None:
    assert TrustedProxies("").client("127.0.0.1", b"203.0.113.7") == "127.0.0.1"


def test_if_all_addresses_are_trusted_the_first_is_the_clients() -> None:
    assert TrustedProxies("*").client("192.0.2.1", b"203.0.113.7, 198.51.100.1") == "203.0.113.7"
