"""The OpenAPI document's schemas of the options of batches, and of the answers to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from protocol.rows import HIGHEST, LAST_S, LOWEST, MAX_TTL_S

Document = dict[str, Any]

_SECONDS = {"type": "number", "exclusiveMinimum": 0, "maximum": MAX_TTL_S}
_NULL = {"type": "null"}
_INTEGER = {"type": "integer", "minimum": LOWEST, "maximum": HIGHEST}
_VERSION = {
    "type": "string",
    "pattern": "^[!-~]{1,32}$",
    "description": "Two versions can be compared for equality only; they have no order.",
}

TTL = {
    "description": "The key expires this many seconds after it is stored, rounded to milliseconds. `null`: never.",
    "anyOf": [_SECONDS, _NULL],
}
TTL_OR_KEEP = {
    "description": f"{TTL['description']} `keep`: the key keeps its present expiry.",
    "anyOf": [_SECONDS, _NULL, {"type": "string", "enum": ["keep"]}],
}
EXPIRES_AT = {
    "description": "The key expires at this Unix time in seconds, rounded to milliseconds.",
    "type": "number",
    "maximum": LAST_S,
}
CONDITION = {
    "description": "The key is changed only if it is absent, is present, or has this version. `null`: no condition.",
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
        "description": "`create`: an increment sets the expiry only if it creates the key. `always`: each one does.",
    },
    "min": {**_BOUND, "description": "An increment with a lower result is refused. `null`: no bound."},
    "max": {**_BOUND, "description": "An increment with a higher result is refused. `null`: no bound."},
    "initial": {**_INTEGER, "description": "The number from which an absent key counts; 0 by default."},
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
        "description": "Options of single keys of the batch. They replace the options of the whole batch.",
        "additionalProperties": _object(properties, **rules),
    }


def _words(*words: str) -> Document:
    return {"type": "array", "items": {"type": "string", "enum": list(words)}}


def requests(data: Document, keys: Document) -> Document:
    """The schemas of the bodies of requests; `data` is that of a write's data, `keys` that of the keys of other
    requests.
    """
    counters = {**data, "additionalProperties": _INTEGER, "description": "The number to add to each key."}
    writing = {"ttl": TTL_OR_KEEP, "expires_at": EXPIRES_AT, "if": CONDITION}
    return {
        "WriteRequest": _object(
            {
                "data": data,
                **writing,
                "options": _options(writing, **_NEVER_BOTH),
                "return": {**_words("version"), "description": "`version`: the answer contains the new versions."},
            },
            ("data",),
            **_NEVER_BOTH,
        ),
        "ReadRequest": _object(
            {
                "keys": keys,
                "with": {**_words("version", "expires_at"), "description": "What the answer contains in `meta`."},
                "partial": {
                    "type": "boolean",
                    "description": "If some shards do not answer, answer 200 with the values of the other shards.",
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
    "description": "What happened to each key that failed. `not_applied`: this request did not change it and will not. "
    "`unknown`: the request may have changed it. `not_read`: its shard did not answer. `condition_failed`, "
    "`not_a_number`, `out_of_range`: the shard checked the key and did not change it. All keys that are not named "
    "succeeded.",
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
    "description": "The new version of each key that was changed, if the request asked for it.",
}
COUNTERS = {"type": "object", "additionalProperties": _INTEGER, "description": "The new value of each counter."}
CURRENT = {
    "type": "object",
    "additionalProperties": _object({"version": _VERSION}),
    "description": "The version of each key whose condition did not hold; an empty object if the key is absent.",
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
                    "description": "For each key that exists, what the request asked for in `with`. A key that never "
                    "expires has no `expires_at`.",
                },
                "failed": FAILED,
                "status": {
                    "type": "string",
                    "enum": ["partial"],
                    "description": "Present if some keys could not be read and the request has `partial`.",
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
                "touched": {"type": "integer", "description": "How many of the keys existed."},
                "not_found": missing,
            },
            ("status", "touched"),
        ),
        "Counters": _object({"data": COUNTERS}, ("data",)),
    }
