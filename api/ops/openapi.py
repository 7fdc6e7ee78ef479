"""The OpenAPI document: every request, answer and error of the API, each with an example.

It is written by hand: Litestar derives its documents from its own handlers, and the routes of the API are not such
handlers (see `api.http.endpoint`). Its parts are in `openapi_paths`, `openapi_schemas` and `openapi_problems`.
"""

from __future__ import annotations

from api.ops.openapi_paths import paths
from api.ops.openapi_schemas import Document, schemas
from protocol.settings import BatchSettings
from protocol.version import VERSION

_DESCRIPTION = """
A batch key-value store over a sharded Tarantool cluster.

* An acknowledged write is stored: applied on its shard and in its write-ahead log.
* Operations on one key are linearizable. A batch is not atomic: keys on different shards succeed or fail independently,
  and the answer names those that failed.
* Nothing is applied after a request's deadline. A `504` says that the outcome is unknown.
* Send an `Idempotency-Key` with each change, so that you can repeat it safely.
* Bodies are JSON or MessagePack (`Content-Type`), answers also (`Accept`). Errors are problem documents (RFC 9457).
"""


def build(limits: BatchSettings) -> Document:
    """The document, with the configured limits."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "tarant-kv", "version": VERSION, "description": _DESCRIPTION.strip()},
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}, {"bare": []}],
        "paths": paths(limits),
        "components": {
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
                "bare": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "Authorization",
                    "description": "The token alone, without `Bearer`, is accepted, too.",
                },
            },
            "parameters": {
                "Idempotency-Key": {
                    "name": "Idempotency-Key",
                    "in": "header",
                    "schema": {"type": "string", "minLength": 1, "maxLength": 256, "pattern": "^[ -~]+$"},
                    # No example: the page would fill it in, and a second request with another body would get 422.
                    "description": "A new key for each request, for example a UUID. A request that is repeated with "
                    "the same key is applied once and gets the first outcome. It must have the same path, media type "
                    "and bytes of the body; any other request with the key gets 422.",
                },
                "X-Request-Id": {
                    "name": "X-Request-Id",
                    "in": "header",
                    "schema": {"type": "string"},
                    "example": "5f0c2a9be1d4-2a",
                    "description": "If it has 1 to 128 visible ASCII characters, the answer and the log contain it. "
                    "Otherwise the api makes an id.",
                },
            },
            "headers": {
                "X-Request-Id": {"schema": {"type": "string"}, "description": "Finds the request in the log."},
                "Retry-After": {"schema": {"type": "integer"}, "description": "Seconds to wait before the next try."},
            },
            "schemas": schemas(limits),
        },
    }
