"""A session of requests with its defaults; the first argument is the certificate that it trusts."""

import sys
from concurrent.futures import ThreadPoolExecutor

import requests

from tests.interop.clients.lines import Request, answer, batches, failure, pieces, tell

with requests.Session() as session:
    session.verify = sys.argv[1]

    def send(request: Request) -> str:
        data = pieces(request.body) if request.chunked else request.body
        try:
            got = session.request(request.method, request.url, headers=request.headers, data=data, timeout=30)
        except requests.RequestException as error:
            return failure(error)
        return answer(got.status_code, dict(got.headers), got.content)

    with ThreadPoolExecutor(16) as threads:
        for batch in batches():
            tell(list(threads.map(send, batch)))
