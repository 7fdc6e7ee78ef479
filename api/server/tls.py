"""TLS on one connection, between its socket and its HTTP.

The event loop's own TLS shows a connection only after its handshake: handshakes would neither count nor end. Here a
connection counts from the moment it is accepted, and its handshake has the time of a head.

`loop.start_tls` cannot replace this. It drops what is written after the client has finished sending, so such a client
would lose its answer. On uvloop 0.23 it also loses a handshake whose first bytes have already arrived.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Iterable

MAX_READ = 256 * 1024
MAX_WRITE = 256 * 1024
"""Bytes that are encrypted at a time, while the client reads them."""


def server_context(certificate: str, key: str) -> ssl.SSLContext:
    """The context of a server with this certificate.

    Raises:
        OSError: the files cannot be used.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    # Without a password OpenSSL would ask for that of an encrypted key at the terminal, and wait.
    context.load_cert_chain(certificate, key, password="")
    return context


class TlsTransport:
    """Encrypts what is sent on a socket, and decrypts what its owner reads from it. The owner passes on the socket's
    flow control.
    """

    def __init__(self, context: ssl.SSLContext, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._unsent: deque[memoryview] = deque()
        self._unsent_bytes = 0
        self._paused = self._ending = False
        self.established = self.ended = False
        """Whether the handshake is complete; whether the client has finished sending."""

    def decrypt(self, data: bytes) -> bytes:
        """The bytes that the client sent in `data`; none during the handshake.

        Raises:
            ssl.SSLError: the client does not speak TLS, or no version or cipher that this server accepts.
        """
        self._incoming.write(data)
        pieces: list[bytes] = []
        try:
            if not self.established:
                self._tls.do_handshake()
                self.established = True
            while piece := self._tls.read(MAX_READ):
                pieces.append(piece)
            self.ended = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self.ended = True
        finally:
            self._flush()
        return b"".join(pieces)

    def writelines(self, pieces: Iterable[bytes | bytearray]) -> None:
        """Send `pieces`."""
        for piece in pieces:
            self._unsent_bytes += len(piece)
            self._unsent.append(memoryview(piece))
        self._encrypt()

    def pause_writing(self) -> None:
        """Stop encrypting until the client has read."""
        self._paused = True

    def resume_writing(self) -> None:
        """Continue encrypting."""
        self._paused = False
        self._encrypt()

    def get_write_buffer_size(self) -> int:
        """The number of bytes that are not sent to the client yet."""
        return self._unsent_bytes + self._transport.get_write_buffer_size()

    def close(self) -> None:
        """Close the connection after everything is sent."""
        self._ending = True
        self._encrypt()

    def is_closing(self) -> bool:
        """Whether the connection is closed, or is to be closed once everything is sent."""
        return self._ending or self._transport.is_closing()

    def _encrypt(self) -> None:
        while self._unsent and not self._paused and not self._transport.is_closing():
            while self._unsent and self._outgoing.pending < MAX_WRITE:
                piece = self._unsent.popleft()
                # It may take no more than one record.
                written = self._tls.write(piece)
                self._unsent_bytes -= written
                if written < len(piece):
                    self._unsent.appendleft(piece[written:])
            self._flush()
        if self._ending and not self._unsent and not self._transport.is_closing():
            try:
                if self.established:
                    self._tls.unwrap()
            except ssl.SSLError:
                pass  # it waits for the client's own close, which is not needed
            self._flush()
            self._transport.close()

    def _flush(self) -> None:
        if self._outgoing.pending and not self._transport.is_closing():
            self._transport.write(self._outgoing.read())
