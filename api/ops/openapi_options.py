"""The OpenAPI document's schemas of the options of batches, and of the answers to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from protocol.rows import HIGHEST, LAST_S, LOWEST, MAX_TTL_S

Document = dict[str, Any]

_SECONDS = {"type": "number", "exclusiveMinimum": 0, "maximum": MAX_TTL_S}
_NULL = {"type": "null"}
_INTEGER = {"type": "integer", "minimum": LOWEST, "maximum": HIGHEST}
_VERSION = {"type": "string", "pattern": "^[!-~]{1,32}$", "description": "Equal or not equal is all that it tells."}

TTL = {
    "description": "The key expires so many seconds after it is stored, rounded to milliseconds. `null`: never.",
    "anyOf": [_SECONDS, _NULL],
}
TTL_OR_KEEP = {
    "description": f"{TTL['description']} `keep`: when it would have expired before this write.",
    "anyOf": [_SECONDS, _NULL, {"type": "string", "enum": ["keep"]}],
}
EXPIRES_AT = {
    "description": "The key expires at this Unix time in seconds, rounded to milliseconds.",
    "type": "number",
    "maximum": LAST_S,
}
CONDITION = {
    "description": "The key is changed only if it is absent, or present, or has this version. `null`: in any case.",
    "anyOf": [
        {"type": "string", "enum": ["absent", "present"]},
        {
            "type": "object",
            "properties": {"version": _VERSION},
            "required": ["version"],
            "additionalProperties": False,
        },
        _NULL,
    ],
}
_EXPIRY = {"ttl": TTL, "expires_at": EXPIRES_AT}
_BOUND = {"anyOf": [_INTEGER, _NULL]}
_COUNTER = {
    **_EXPIRY,
    "ttl_on": {
        "type": "string",
        "enum": ["create", "always"],
        "description": "Whether the expiry counts only where the increment makes the key, or always.",
    },
    "min": {**_BOUND, "description": "An increment with a lower result is refused. `null`: any."},
    "max": {**_BOUND, "description": "An increment with a higher result is refused. `null`: any."},
    "initial": {**_INTEGER, "description": "What a key that is absent counts as; 0 by default."},
}

_NEVER_BOTH = {"not": {"required": ["ttl", "expires_at"]}}
_SOME_EXPIRY = {"anyOf": [{"required": [name]} for name in ("ttl", "expires_at", "options")], **_NEVER_BOTH}


def _object(properties: Document, required: Sequence[str] = (), **rules: Any) -> Document:
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
        **rules,
    }


def _options(properties: Document, **rules: Any) -> Document:
    return {
        "type": "object",
        "description": "What holds for single keys of the batch, in place of what holds for all.",
        "additionalProperties": _object(properties, **rules),
    }


def _words(*words: str) -> Document:
    return {"type": "array", "items": {"type": "string", "enum": list(words)}}


def requests(data: Document, keys: Document) -> Document:
    """The schemas of the bodies of requests; `data` is that of a write's data, `keys` that of the keys of other
    requests.
    """
    counters = {**data, "additionalProperties": _INTEGER, "description": "What is added to each key."}
    writing = {"ttl": TTL_OR_KEEP, "expires_at": EXPIRES_AT, "if": CONDITION}
    return {
        "WriteRequest": _object(
            {
                "data": data,
                **writing,
                "options": _options(writing, **_NEVER_BOTH),
                "return": {**_words("version"), "description": "`version`: the answer tells the new versions."},
            },
            ("data",),
            **_NEVER_BOTH,
        ),
        "ReadRequest": _object(
            {
                "keys": keys,
                "with": {**_words("version", "expires_at"), "description": "What the answer tells in `meta`."},
                "partial": {
                    "type": "boolean",
                    "description": "Where some shards do not answer, answer 200 with what the others have.",
                },
            },
            ("keys",),
        ),
        "DeleteRequest": _object(
            {"keys": keys, "if": CONDITION, "options": _options({"if": CONDITION})},
            ("keys",),
        ),
        "TouchRequest": _object(
            {"keys": keys, **_EXPIRY, "options": _options(_EXPIRY, **_NEVER_BOTH)}, ("keys",), **_SOME_EXPIRY
        ),
        "IncrementRequest": _object(
            {"data": counters, **_COUNTER, "options": _options(_COUNTER, **_NEVER_BOTH)},
            ("data",),
            **_NEVER_BOTH,
        ),
    }


FAILED = {
    "type": "object",
    "description": "What happened to each key that failed. `not_applied`: it is not changed, and never will be by this "
    "request. `unknown`: it may be changed. `not_read`: its shard did not answer. `condition_failed`, `not_a_number`, "
    "`out_of_range`: it was refused, which is final. Keys that are not named succeeded.",
    "additionalProperties": {
        "type": "string",
        "enum": ["not_applied", "unknown", "not_read", "condition_failed", "not_a_number", "out_of_range"],
    },
}
REASONS = {
    "type": "array",
    "items": _object(
        {
            "shard": {"type": "string"},
            "code": {"type": "string"},
            "keys": {"type": "integer"},
            "detail": {"type": "string"},
        },
        ("shard", "code", "keys"),
    ),
}
VERSIONS = {
    "type": "object",
    "additionalProperties": _VERSION,
    "description": "The new version of each key that was changed, where the request asked for it.",
}
COUNTERS = {"type": "object", "additionalProperties": _INTEGER, "description": "The new number of each key."}
CURRENT = {
    "type": "object",
    "additionalProperties": _object({"version": _VERSION}),
    "description": "The version of each key whose condition did not hold; an empty object where the key is absent.",
}


def answers(values: Document, missing: Document) -> Document:
    """The schemas of answers; `values` is that of values by key, `missing` that of the keys that are absent."""
    success = {"type": "string", "enum": ["success"]}
    return {
        "Values": _object(
            {
                "data": values,
                "not_found": missing,
                "meta": {
                    "type": "object",
                    "additionalProperties": _object({"version": _VERSION, "expires_at": {"type": "number"}}),
                    "description": "What the request asked for of each key that is there. A key that never expires has "
                    "no `expires_at`.",
                },
                "failed": FAILED,
                "status": {
                    "type": "string",
                    "enum": ["partial"],
                    "description": "Present if some keys could not be read and the request takes part of them.",
                },
                "reasons": REASONS,
            },
            ("data",),
        ),
        "KeyStored": _object({"status": success, "version": _VERSION}, ("status", "version")),
        "Written": _object({"status": success, "versions": VERSIONS}, ("status",)),
        "Touched": _object(
            {
                "status": success,
                "touched": {"type": "integer", "description": "How many of the keys were there."},
                "not_found": missing,
            },
            ("status", "touched"),
        ),
        "Counters": _object({"data": COUNTERS}, ("data",)),
    }
