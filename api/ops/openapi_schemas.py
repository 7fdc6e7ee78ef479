"""The OpenAPI document's schemas: the bodies of requests, of answers and of problems."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from api.batch.values import MAX_DEPTH
from api.http.problems import Kind
from api.ops.openapi_options import COUNTERS, CURRENT, FAILED, REASONS, VERSIONS, answers, requests
from api.ops.openapi_scan_schemas import OF_FAILED_IMPORTS, scan_schemas
from api.ops.openapi_status_schema import status_schema
from api.ops.openapi_user_schemas import user_schemas
from protocol.settings import BatchSettings

Document = dict[str, Any]

_ANY_VALUE = (
    "Any JSON value. Integers from -2^63 to 2^64-1; numbers with a fraction or an exponent are IEEE 754 doubles; up to "
    f"{MAX_DEPTH} levels of nesting."
)
_KEPT_VALUE = (
    f"{_ANY_VALUE} A whole number outside these limits is accepted if it is written with an exponent (`1e30`). JSON "
    "Schema cannot express this difference."
)


def schemas(limits: BatchSettings) -> Document:
    """Every schema by its name, with the configured limits."""
    key = {"type": "string", "minLength": 1, "maxLength": limits.max_key_bytes, "example": "key1"}
    keys = {"type": "array", "items": key, "minItems": 1, "description": "A key that occurs twice counts once."}
    return {
        "LoginRequest": _object(
            {
                "username": {"type": "string", "minLength": 1},
                "password": {"type": "string", "minLength": 1, "maxLength": 1024},
            }
        ),
        "Token": _object({"token": {"type": "string", "description": "A JSON Web Token."}}),
        **requests(
            {
                "type": "object",
                "minProperties": 1,
                "maxProperties": limits.max_batch_keys,
                "propertyNames": {"minLength": 1, "maxLength": limits.max_key_bytes},
                "additionalProperties": {"$ref": "#/components/schemas/KeptValue"},
                "description": f"Keys have 1 to {limits.max_key_bytes} bytes of UTF-8, values up to "
                f"{limits.max_value_bytes} bytes as MessagePack. If a member occurs twice, the last one counts.",
            },
            keys,
        ),
        **answers(
            {"type": "object", "additionalProperties": {"$ref": "#/components/schemas/Value"}},
            {"type": "array", "items": key, "description": "Present if some keys are absent."},
        ),
        **scan_schemas(key),
        "Status": status_schema(),
        **user_schemas(),
        "Success": _object({"status": {"type": "string", "enum": ["success"]}}),
        "Deleted": _object(
            {
                "status": {"type": "string", "enum": ["success"]},
                "deleted": {"type": "integer", "description": "How many of the keys existed."},
            }
        ),
        "Live": _object({"status": {"type": "string", "enum": ["live"]}, "version": {"type": "string"}}),
        "Ready": _object(
            {
                "status": {"type": "string", "enum": ["ready"]},
                "shards": {"type": "array", "items": {"type": "string"}, "description": "All shards."},
                "shards_down": {
                    "type": "array",
                    "items": {"type": "string"},
                    "description": "Shards that did not answer when this process last asked, some seconds ago at most. "
                    "Batches with keys of these shards fail for those keys.",
                },
                "lanes": {"type": "integer", "description": "How many Redis servers there are."},
                "lanes_down": {
                    "type": "integer",
                    "description": "How many of them do not work for this process. The other ones carry all chunks.",
                },
            }
        ),
        "Value": {"description": _ANY_VALUE},
        "KeptValue": _kept_value(),
        "Problem": {
            "type": "object",
            "description": "A problem document (RFC 9457).",
            "required": ["type", "title", "status", "detail", "request_id"],
            "properties": {
                "type": {"type": "string", "enum": sorted(kind.urn for kind in Kind)},
                "title": {"type": "string"},
                "status": {"type": "integer"},
                "detail": {"type": "string"},
                "request_id": {"type": "string"},
                "errors": {
                    "type": "array",
                    "items": _object({"pointer": {"type": "string"}, "detail": {"type": "string"}}),
                },
                "failed": FAILED,
                "reasons": REASONS,
                "current": CURRENT,
                "versions": VERSIONS,
                "data": COUNTERS,
                "deleted": {"type": "integer"},
                "not_found": {"type": "array", "items": {"type": "string"}},
                **OF_FAILED_IMPORTS,
            },
        },
    }


def _kept_value() -> Document:
    """The schema of a value to write, with all of its limits that JSON Schema can express."""
    same = {"$ref": "#/components/schemas/KeptValue"}
    return {
        "description": _KEPT_VALUE,
        "anyOf": [
            {"type": ["null", "boolean", "string"]},
            {"type": "integer", "minimum": -(2**63), "maximum": 2**64 - 1},
            {"type": "number", "not": {"type": "integer"}},
            {"type": "array", "items": same},
            {"type": "object", "additionalProperties": same},
        ],
    }


def _object(properties: Document, required: Sequence[str] | None = None) -> Document:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties) if required is None else list(required),
        "additionalProperties": False,
    }
