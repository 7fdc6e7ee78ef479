"""The names of spans and their attributes: those of OpenTelemetry's semantic conventions, and our own for the rest.

They contain no key, value, or path with a key: routes are named by their patterns.
"""

from __future__ import annotations

SERVICE_NAME = "service.name"
SERVICE_VERSION = "service.version"
SERVICE_INSTANCE = "service.instance.id"
SERVICE = "tarantkv-api"

METHOD = "http.request.method"
ROUTE = "http.route"
STATUS = "http.response.status_code"
ERROR = "error.type"
REQUEST_ID = "tarantkv.request_id"

QUEUE = "queue"
"""From the api's append until a worker has read the frame."""

WORKER = "worker"
"""From then until the worker replies."""

SHARD = "shard"
"""The worker's call of the shard."""

SHARD_NAME = "tarantkv.shard"
MESSAGING_SYSTEM, REDIS = "messaging.system", "redis"
DB_SYSTEM, TARANTOOL = "db.system.name", "tarantool"
