"""httpx with its defaults; the first argument is the certificate that it trusts."""

import ssl
import sys
from concurrent.futures import ThreadPoolExecutor

import httpx

from tests.interop.clients.lines import Request, answer, batches, failure, pieces, tell

with httpx.Client(verify=ssl.create_default_context(cafile=sys.argv[1]), timeout=30) as client:

    def send(request: Request) -> str:
        content = pieces(request.body) if request.chunked else request.body
        try:
            got = client.request(request.method, request.url, headers=request.headers, content=content)
        except httpx.HTTPError as error:
            return failure(error)
        return answer(got.status_code, dict(got.headers), got.content)

    with ThreadPoolExecutor(16) as threads:
        for batch in batches():
            tell(list(threads.map(send, batch)))
