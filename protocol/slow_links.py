"""Bounds the time to send many bytes over a slow link: it may be long if the peer receives the bytes fast enough.

A timeout counts from the last byte that the peer received. Without this module, a large reply that needs longer than a
command's timeout would be sent again and again, and its connection would do nothing else.
"""

from __future__ import annotations

import asyncio
import fcntl
import socket
import struct
import termios

from protocol.slow_answers import SLOWEST_BYTES_S, keep_up

_PIECE_BYTES = 1024 * 1024


def send(connected: socket.socket, *parts: bytes) -> None:
    """Send all parts, small ones together; large ones are not copied.

    Raises:
        TimeoutError: the peer received nothing within the socket's timeout, or receives too slowly.
    """
    if sum(map(len, parts)) <= _PIECE_BYTES:
        parts = (b"".join(parts),)
    for part in parts:
        _send(connected, part)


def _send(connected: socket.socket, data: bytes) -> None:
    sent = connected.send(data)
    if sent == len(data):
        return
    view, began_at = memoryview(data), 0.0
    while sent < len(data):
        began_at = keep_up(began_at, connected.gettimeout(), sent)
        sent += connected.send(view[sent : sent + _PIECE_BYTES])


def receive(connected: socket.socket, buffer: bytearray) -> int:
    """Receive into `buffer`; the timeout begins again while bytes that were sent before are on their way.

    Raises:
        TimeoutError: nothing came in time.
    """
    leaving = Leaving(connected.gettimeout() or 0.0)
    while True:
        try:
            return connected.recv_into(buffer)
        except TimeoutError:
            if not leaving.goes_on(_unsent(connected)):
                raise


class Leaving:
    """Whether sent bytes leave this machine fast enough, checked each time when `timeout_s` has passed."""

    __slots__ = ("_least", "_left")

    def __init__(self, timeout_s: float) -> None:
        self._least = timeout_s * SLOWEST_BYTES_S
        self._left = float("inf")

    def goes_on(self, left: int) -> bool:
        """Whether the peer may need more time: `left` bytes are still here, fewer than at the last look."""
        before, self._left = self._left, left
        return left > 0 and before - left >= self._least


def waiting_in(transport: asyncio.Transport | None) -> int:
    """The bytes that were written to a transport and that the peer has not acknowledged."""
    return 0 if transport is None else transport.get_write_buffer_size() + _unsent(transport.get_extra_info("socket"))


def _unsent(connected: socket.socket) -> int:
    """The bytes in the kernel that the peer has not acknowledged; 0 if that is unknown."""
    try:
        (left,) = struct.unpack("i", fcntl.ioctl(connected.fileno(), termios.TIOCOUTQ, b"\0" * 4))
    except OSError:
        return 0
    return int(left)
