"""The console's page, its login page, and their files: static, from this package, without data of users.

The files are read once, and each has its own route: no path of a request ever becomes a path of the file system.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

from litestar import HttpMethod, Request, Response, route
from litestar.handlers import HTTPRouteHandler

READ_ONLY = (HttpMethod.GET, HttpMethod.HEAD)
PAGES = {"index.html": "/console", "login.html": "/console/login"}
FILES = "/console/static/"

_MEDIA_TYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".svg": "image/svg+xml",
}
"""The files that are served, by suffix; licences and checksums are not."""

# The browser asks each time, and mostly gets 304: so a page mixes the files of two versions for one load at most.
_KEEP = {"cache-control": "no-cache", "cross-origin-resource-policy": "same-origin"}
_IMPORT_MAP = re.compile(rb'<script type="importmap">(.*?)</script>', re.DOTALL)


def routes() -> list[HTTPRouteHandler]:
    """A route for each page and each file."""
    found = []
    for name, body in _bodies(files("api.console") / "static"):
        if name in PAGES:
            headers = {
                **_KEEP,
                "content-security-policy": policy(body),
                "cross-origin-opener-policy": "same-origin",
                "permissions-policy": "camera=(), geolocation=(), microphone=()",
            }
            found.append(_fixed(PAGES[name], name, body, headers))
        else:
            found.append(_fixed(FILES + name, name, body, _KEEP))
    return found


def policy(page: bytes) -> str:
    """What a page may load and run: this server's files, and its import map, by the digest."""
    digests = [
        f"'sha256-{base64.b64encode(hashlib.sha256(script).digest()).decode()}'" for script in _IMPORT_MAP.findall(page)
    ]
    return "; ".join(
        (
            "default-src 'none'",
            " ".join(("script-src 'self'", *digests)),
            "style-src 'self'",
            "img-src 'self'",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        )
    )


def _bodies(folder: Traversable, prefix: str = "") -> Iterator[tuple[str, bytes]]:
    """The names below the folder, and the contents, of the files that are served."""
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.is_dir():
            yield from _bodies(entry, f"{prefix}{entry.name}/")
        elif _suffix(entry.name) in _MEDIA_TYPES:
            yield prefix + entry.name, entry.read_bytes()


def _suffix(name: str) -> str:
    return name[name.rfind(".") :]


def _fixed(path: str, name: str, body: bytes, headers: dict[str, str]) -> HTTPRouteHandler:
    """A route that always gives the same answer, or 304 if the browser has it already."""
    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    kind = _MEDIA_TYPES[_suffix(name)]
    every = {**headers, "etag": tag}

    @route(path, http_method=READ_ONLY, include_in_schema=False, sync_to_thread=False)
    def content(request: Request[Any, Any, Any]) -> Response[bytes]:
        known = {each.strip().removeprefix("W/") for each in request.headers.get("if-none-match", "").split(",")}
        if tag in known:
            return Response(b"", status_code=304, headers=every)
        return Response(body, media_type=kind, headers=every)

    return content
