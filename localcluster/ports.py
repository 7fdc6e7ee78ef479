"""Free TCP ports on 127.0.0.1 for clusters that tests and benchmarks start beside each other."""

import os
import socket
from collections.abc import Iterator

# These are below the range that Linux takes source ports from (32768 and up): while a server is down for a moment, an
# outgoing connection must not take its port, and a client that retries must not connect to itself.
_FIRST = 12000
_BLOCK = 80
_BLOCKS = 240

_reservations: list[socket.socket] = []
_reserved: list[int] = []


def free_ports(count: int) -> tuple[int, ...]:
    """`count` ports on which nothing listens; each is returned once.

    Each process takes them from its own blocks, so concurrent processes never choose the same port.
    """
    found: list[int] = []
    for port in _ports():
        if not is_taken(port):
            found.append(port)
            if len(found) == count:
                return tuple(found)
    raise OSError(f"no {count} free TCP ports between {_FIRST} and {_FIRST + _BLOCK * _BLOCKS}")


def _ports() -> Iterator[int]:
    while _reserved or _reserve_block():
        yield _reserved.pop(0)


def _reserve_block() -> bool:
    # An abstract Unix socket is the reservation: it belongs to the network namespace, as ports do, and ends with its
    # process.
    for offset in range(_BLOCKS):
        block = (os.getpid() + offset) % _BLOCKS
        reservation = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            reservation.bind(f"\0tarantkv-ports-{block}")
        except OSError:
            reservation.close()
            continue
        _reservations.append(reservation)
        _reserved.extend(range(_FIRST + block * _BLOCK, _FIRST + (block + 1) * _BLOCK))
        return True
    return False


def is_taken(port: int) -> bool:
    """Whether a server on 127.0.0.1 could not have this port."""
    return why_not("127.0.0.1", port) is not None


def why_not(host: str, port: int) -> OSError | None:
    """The error that a server would get at this address; None: it could listen."""
    try:
        [(family, kind, protocol, _, address), *_] = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except OSError as error:
        return error
    try:
        with socket.socket(family, kind, protocol) as probe:
            # Servers do the same: a port whose last connections are in TIME_WAIT is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            probe.bind(address)
    except OSError as error:
        return error
    return None
