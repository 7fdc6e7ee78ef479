"""How many bytes of a connection a process on this machine has not read yet, from the kernel (sock_diag(7))."""

import socket
import struct

_SOCK_DIAG = 4
_BY_FAMILY = 20
_REQUEST = 1
_ANY = 0xFFFFFFFF

_message = struct.Struct("=IHHII")
_ends = struct.Struct("!HH16s16s")
_question = struct.Struct("=BBBBI")
_rest_of_id = struct.Struct("=III")
_RECEIVED = _message.size + 4 + _ends.size + _rest_of_id.size + 4
"""Offset of the number of unread bytes in the answer: behind the message's head, state, id and timer."""


def unread_bytes(connection: socket.socket) -> int | None:
    """How many bytes sent over `connection` the other end has not read; None if that cannot be seen."""
    try:
        (host, port), (other_host, other_port) = connection.getsockname()[:2], connection.getpeername()[:2]
        ends = _ends.pack(other_port, port, socket.inet_aton(other_host), socket.inet_aton(host))
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _SOCK_DIAG) as kernel:
            question = _question.pack(socket.AF_INET, socket.IPPROTO_TCP, 0, 0, _ANY) + ends
            question += _rest_of_id.pack(0, _ANY, _ANY)
            kernel.send(_message.pack(_message.size + len(question), _BY_FAMILY, _REQUEST, 1, 0) + question)
            answer = kernel.recv(4096)
    except OSError:
        return None
    if _message.unpack_from(answer)[1] != _BY_FAMILY:
        return None
    (received,) = struct.unpack_from("=I", answer, _RECEIVED)
    return int(received)
