"""`python -m loadtest.worst`: sends the worst requests to the running system, one after the other.

Beside each of them another client reads one key repeatedly; the longest wait of that client is the result.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import statistics
import subprocess
import sys
import time
from typing import NamedTuple
from urllib.parse import urlsplit

from loadtest.bench.wrk import login
from loadtest.worst.requests import JSON, MSGPACK, Request, requests
from localcluster.cluster import Cluster
from localcluster.config import for_machine
from localcluster.dotenv import REPOSITORY

BAR_S = 0.1
SETTLE_S = 0.3
TIMEOUT_S = 120.0


class Outcome(NamedTuple):
    """The result of a request: its status and duration, and the longest and the usual wait of others."""

    status: str
    seconds: float
    longest_s: float
    usual_s: float


class Client:
    """Sends requests with a token."""

    def __init__(self, url: str, token: str) -> None:
        address = urlsplit(url)
        self.host, self.port, self.token = address.hostname or "", address.port or 80, token

    def post(self, path: str, body: bytes, content_type: str, accept: str = JSON) -> str:
        """Send a request and read its answer; returns the status, or the error that broke the connection."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=TIMEOUT_S)
        headers = {"authorization": self.token, "content-type": content_type, "accept": accept}
        try:
            connection.request("POST", f"/api/{path}", body, headers)
            answer = connection.getresponse()
            while answer.read(1 << 20):
                pass
        except OSError as error:
            return type(error).__name__
        finally:
            connection.close()
        return str(answer.status)


def measure(client: Client, request: Request, reader: str) -> Outcome:
    """Send one request, and measure how long another client with the token `reader` waits meanwhile."""
    for body in request.stored:
        client.post("write", body(), MSGPACK)
    content = request.body()
    command = [sys.executable, "-m", "loadtest.worst.probe", client.host, str(client.port), reader]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as probe:
        if probe.stdin is None or probe.stdout is None:
            raise AssertionError("no pipes")
        probe.stdout.readline()
        time.sleep(SETTLE_S)
        began = time.perf_counter()
        status = client.post(request.path, content, request.content_type, request.accept)
        seconds = time.perf_counter() - began
        probe.stdin.close()
        latencies = json.loads(probe.stdout.read())
    return Outcome(status, seconds, max(latencies), statistics.median(latencies))


def main() -> int:
    """Measure every request, and print a table; the exit code says whether the longest wait was within the aim."""
    parser = argparse.ArgumentParser(prog="python -m loadtest.worst")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="send only requests whose names contain this text")
    parser.add_argument("--url", default="", help="of a system that is not this machine's; its admin password is read "
                        "from TARANTKV_ADMIN_PASSWORD")  # fmt: skip
    parser.add_argument("--reader", default="", help="another user, who reads beside the requests; its password is "
                        "read from TARANTKV_PASSWORD. Missing: who sends them, and shares their limits")  # fmt: skip
    options = parser.parse_args()
    if options.url:
        client = Client(options.url, login(options.url, "admin", os.environ["TARANTKV_ADMIN_PASSWORD"]))
    else:
        cluster = Cluster(for_machine(REPOSITORY))
        client = Client(cluster.base_url, login(cluster.base_url, cluster.admin_user, cluster.admin_password))
    url = f"http://{client.host}:{client.port}"
    reader = login(url, options.reader, os.environ["TARANTKV_PASSWORD"]) if options.reader else client.token
    client.post("write", b'{"data":{"worst:small":1}}', JSON)
    print("| request | status | its own time, s | a small read waits at most, ms | usually, ms |")
    print("| --- | --- | ---: | ---: | ---: |")
    good = True
    for request in requests():
        if options.only not in request.name:
            continue
        rounds = [measure(client, request, reader) for _ in range(options.rounds)]
        middle = sorted(rounds, key=lambda outcome: outcome.longest_s)[len(rounds) // 2]
        good = good and middle.longest_s <= BAR_S
        print(
            f"| {request.name} | {middle.status} | {middle.seconds:.1f} | {middle.longest_s * 1000:.0f} "
            f"| {middle.usual_s * 1000:.1f} |",
            flush=True,
        )
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
