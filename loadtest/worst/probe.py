"""A client in its own process that reads one key repeatedly, and reports its waits.

It writes a line when it is ready, reads as long as its standard input is open, and writes its latencies as JSON. A 503
counts as a wait of `REFUSED_S`: the client must return after a second.
"""

from __future__ import annotations

import json
import select
import socket
import sys
import time

EVERY_S = 0.002
TIMEOUT_S = 120.0
REFUSED_S = 1.0


def main() -> None:
    """Read until told to stop."""
    host, port, token = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    body = b'{"keys":["worst:small"]}'
    head = (
        f"POST /api/read HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    request = head.encode() + body
    latencies: list[float] = []
    with socket.create_connection((host, port), TIMEOUT_S) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        print("ready", flush=True)
        while not select.select([sys.stdin], [], [], EVERY_S)[0]:
            began = time.perf_counter()
            connection.sendall(request)
            answer = connection.recv(65536)
            if not answer.startswith((b"HTTP/1.1 200", b"HTTP/1.1 503")):
                raise SystemExit(f"the small read was answered {answer[:200]!r}")
            refused_s = REFUSED_S if answer.startswith(b"HTTP/1.1 503") else 0.0
            latencies.append(time.perf_counter() - began + refused_s)
    print(json.dumps(latencies), flush=True)


if __name__ == "__main__":
    main()
