"""The stored procedure's call in Tarantool's binary protocol, on a socket of its own: workers make it all the time.

The `tarantool` connector opens the connection: it does the greeting, the authentication and the first questions. For
each further call it would build a request, a packer, a response and an unpacker, and ask the kernel whether the socket
is still open. Measured with chunks of 33 keys, a call took 91 us of CPU with it and takes 54 us with this module.

Numbers: https://www.tarantool.io/en/doc/latest/reference/internals/iproto/
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from typing import Any

import msgpack

from protocol.slow_answers import keep_up
from worker.answer_room import LARGE_BYTES

_CALL_HEAD = struct.Struct(">BIBBBBBI")
_LENGTH = struct.Struct(">BI")
_UINT32 = 0xCE
_MAP_OF_2 = 0x82
_TYPE, _CALL, _SYNC = 0x00, 0x0A, 0x01
_FUNCTION, _ARGUMENTS = b"\x22", b"\x21"
_DATA, _ERROR = 0x30, 0x31
_ERROR_FLAG = 0x8000
_RECEIVE_BYTES = 256 * 1024
_MAX_HEADER_BYTES = 256
SILENT_S = 0.5
"""After this time without an answer the worker looks for another leader: the one that it called may be frozen."""
_MAX_ANSWER_BYTES = 128 * 1024 * 1024
"""More than any answer has (the shard stops at 64 MiB and 16 MiB of reads): the worker allocates no memory for a length
beyond this, which must be damaged."""


class CallRefusedError(Exception):
    """Tarantool answered a call with an error; `code` is its number."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class Procedure:
    """A stored procedure with one argument, called over a socket that is logged in already."""

    def __init__(self, connected: socket.socket, name: str, room: Callable[[int], None] = lambda _: None) -> None:
        """`room` is called with the bytes of an answer before memory is allocated for it; it may wait."""
        self._socket = connected
        self._room = room
        self._pack = msgpack.Packer(use_bin_type=False).pack
        self._prefix = b"\x82" + _FUNCTION + self._pack(name) + _ARGUMENTS + b"\x91"
        self._sync = 0

    def __call__(self, argument: Any, is_replaced: Callable[[], bool] | None = None) -> Any:
        """Call it and return its first return value; texts and binaries are returned as bytes.

        If the answer has not begun after `SILENT_S`, `is_replaced` is called: it says whether another instance leads
        now.

        Raises:
            CallRefusedError: Tarantool answered with an error.
            TimeoutError: no answer came in time, or another instance leads now; whether the call ran is unknown.
            OSError: the connection broke; whether the call ran is unknown.
        """
        body = self._prefix + self._pack(argument)
        self._sync = (self._sync + 1) & 0x7FFFFFFF
        # A length, and the header {type: call, sync: number}, both of a fixed size.
        head = _CALL_HEAD.pack(
            _UINT32, _CALL_HEAD.size - _LENGTH.size + len(body), _MAP_OF_2, _TYPE, _CALL, _SYNC, _UINT32, self._sync
        )
        self._socket.sendall(head + body)
        packet = self._receive(self._first(is_replaced))
        try:
            return self._understand(packet)
        except (ValueError, LookupError, TypeError, AttributeError, msgpack.UnpackException) as error:
            raise ConnectionError(f"an answer is damaged: {error!r}") from error

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def _understand(self, packet: memoryview) -> Any:
        unpacker = msgpack.Unpacker(raw=True, strict_map_key=False, max_buffer_size=0)
        if len(packet) < LARGE_BYTES:
            unpacker.feed(packet)
            header, answer = unpacker.unpack(), unpacker.unpack()
        else:
            # The unpacker would copy what it is fed.
            unpacker.feed(packet[:_MAX_HEADER_BYTES])
            header = unpacker.unpack()
            answer = msgpack.unpackb(packet[unpacker.tell() :], raw=True, strict_map_key=False)
        if header[_SYNC] != self._sync:
            raise ConnectionError(f"an answer to call {header[_SYNC]} came for call {self._sync}")
        code = header[_TYPE]
        if code & _ERROR_FLAG:
            raise CallRefusedError(code & ~_ERROR_FLAG, answer[_ERROR].decode("utf-8", "replace"))
        return answer[_DATA][0]

    def _first(self, is_replaced: Callable[[], bool] | None) -> bytes:
        """The first bytes of an answer."""
        whole_s = self._socket.gettimeout()
        if is_replaced is None or whole_s is None or whole_s <= SILENT_S:
            return self._socket.recv(_RECEIVE_BYTES)
        self._socket.settimeout(SILENT_S)
        try:
            received = self._socket.recv(_RECEIVE_BYTES)
        except TimeoutError:
            if is_replaced():
                raise
            self._socket.settimeout(max(0.001, whole_s - SILENT_S))
            received = self._socket.recv(_RECEIVE_BYTES)
        self._socket.settimeout(whole_s)
        return received

    def _receive(self, received: bytes) -> memoryview:
        """The bytes of one answer, after its length."""
        began_at = 0.0
        while len(received) < _LENGTH.size:
            began_at = keep_up(began_at, self._socket.gettimeout(), len(received))
            received += self._more(_LENGTH.size - len(received))
        mark, length = _LENGTH.unpack_from(received)
        if mark != _UINT32:
            raise ConnectionError("an answer does not begin with its length")
        if length > _MAX_ANSWER_BYTES:
            raise ConnectionError(f"an answer of {length} bytes is announced")
        size = _LENGTH.size + length
        if len(received) == size:
            return memoryview(received)[_LENGTH.size :]
        if len(received) > size:
            raise ConnectionError("the answer is longer than announced")
        self._room(size)
        whole = bytearray(size)
        whole[: len(received)] = received
        view, filled = memoryview(whole), len(received)
        while filled < size:
            began_at = keep_up(began_at, self._socket.gettimeout(), filled)
            count = self._socket.recv_into(view[filled:])
            if not count:
                raise ConnectionError("the shard closed the connection")
            filled += count
        return view[_LENGTH.size :]

    def _more(self, size: int) -> bytes:
        received = self._socket.recv(size)
        if not received:
            raise ConnectionError("the shard closed the connection")
        return received
