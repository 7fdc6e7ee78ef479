"""The documentation's routes: the OpenAPI document, the page that shows it, and the page's files.

The files are read once, and each has its own route: no path of a request ever becomes a path of the file system.
"""

from __future__ import annotations

from importlib.resources import files

import litestar_offline_docs
import orjson
from litestar import HttpMethod, MediaType, Response, route
from litestar.handlers import HTTPRouteHandler

from api.ops import openapi
from protocol.settings import BatchSettings

READ_ONLY = (HttpMethod.GET, HttpMethod.HEAD)
PAGE = "/schema"
POINTERS = ("/", "/docs")
"""Paths that a newcomer tries first; each redirects to the page."""

_HTML = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>tarant-kv</title><link rel="stylesheet" href="/schema/files/swagger-ui.css"></head>
<body><div id="page"></div>
<script src="/schema/files/swagger-ui-bundle.js"></script>
<script src="/schema/page.js"></script></body>
</html>
"""
_SCRIPT = """SwaggerUIBundle({ url: "/schema/openapi.json", dom_id: "#page", deepLinking: true });\n"""

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The page loads scripts and data from this server only, and no other page may frame it. Swagger UI needs inline
styles."""

_FILES = {"swagger-ui.css": "text/css", "swagger-ui-bundle.js": "text/javascript"}
"""The files of the documentation package that the page loads."""


def routes(limits: BatchSettings) -> list[HTTPRouteHandler]:
    """Every route of the documentation; the OpenAPI document names `limits`."""
    library = files(litestar_offline_docs) / "static"
    return [
        _fixed("/schema/openapi.json", orjson.dumps(openapi.build(limits)), MediaType.JSON),
        _fixed(PAGE, _HTML.encode(), MediaType.HTML, {"content-security-policy": _POLICY}),
        _fixed("/schema/page.js", _SCRIPT.encode(), "text/javascript"),
        *(_fixed(f"/schema/files/{name}", (library / name).read_bytes(), kind) for name, kind in _FILES.items()),
        _pointer(),
    ]


def _fixed(path: str, body: bytes, media_type: str, headers: dict[str, str] | None = None) -> HTTPRouteHandler:
    """A route that always gives the same answer."""

    @route(path, http_method=READ_ONLY, include_in_schema=False, sync_to_thread=False)
    def content() -> Response[bytes]:
        return Response(body, media_type=media_type, headers=headers)

    return content


def _pointer() -> HTTPRouteHandler:
    @route(list(POINTERS), http_method=READ_ONLY, include_in_schema=False, sync_to_thread=False)
    def pointer() -> Response[str]:
        # The text is for clients that do not follow redirects, as curl without -L.
        return Response(
            f"The documentation is at {PAGE}\n",
            status_code=302,
            media_type=MediaType.TEXT,
            headers={"location": PAGE},
        )

    return pointer
