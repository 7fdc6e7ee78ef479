"""The types that calls take and return."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, TypeAlias, TypedDict

Condition: TypeAlias = Literal["absent", "present"] | Mapping[str, str] | None
"""`"absent"`, `"present"` or `{"version": "…"}`; None: no condition."""

Ttl: TypeAlias = float | Literal["keep"] | None
"""Seconds; None: never; `"keep"`: the expiry that the key has."""

With: TypeAlias = Literal["version", "expires_at"]

KeyOptions = TypedDict(
    "KeyOptions",
    {
        "ttl": Ttl,
        "expires_at": float,
        "if": Condition,
        "initial": int,
        "min": int,
        "max": int,
        "ttl_on": Literal["create", "always"],
    },
    total=False,
)
"""The options of a single key, which replace those of the batch. docs/api.md says which of them a call accepts."""


class ChangeOptions(TypedDict, total=False):
    """`idempotency_key`: 1 to 200 printable ASCII characters, instead of a generated one. `deadline`: seconds for all
    attempts together, instead of the client's.
    """

    options: Mapping[str, KeyOptions]
    idempotency_key: str
    deadline: float


class DeleteOptions(ChangeOptions, total=False):
    """`if_`: delete only if this condition holds."""

    if_: Condition


class WriteOptions(DeleteOptions, total=False):
    """`ttl` or `expires_at` (Unix time): when the keys expire. `versions`: return the new version of each key."""

    ttl: Ttl
    expires_at: float
    versions: bool


class TouchOptions(ChangeOptions, total=False):
    """`ttl` or `expires_at` is needed, for all keys or for each in `options`."""

    ttl: float | None
    expires_at: float


class IncrementOptions(ChangeOptions, total=False):
    """`initial`: the value from which an absent key counts. `min`, `max`: bounds of the result. `ttl` or `expires_at`
    applies if the key is created; with `ttl_on="always"`, each time.
    """

    ttl: float | None
    expires_at: float
    ttl_on: Literal["create", "always"]
    initial: int
    min: int
    max: int


class ScanOptions(TypedDict, total=False):
    """`start` is included, `end` is not. `with_`: what to return for each key besides its value."""

    start: str
    end: str
    reverse: bool
    values: bool
    with_: tuple[With, ...] | list[With]


class ExportOptions(TypedDict, total=False):
    """`segment` of `segments`: one of that many parts of the keys, for parallel exports."""

    start: str
    end: str
    values: bool
    segment: int
    segments: int


class KeyMeta(NamedTuple):
    """What is returned for a key besides its value. `expires_at` is Unix time; None: never, or not asked for."""

    version: str | None = None
    expires_at: float | None = None


class Item(NamedTuple):
    """A key of a scan or an export. `value` is also None if values were not asked for."""

    key: str
    value: Any = None
    version: str | None = None
    expires_at: float | None = None


class ReadResult(NamedTuple):
    """`failed` is empty except in a partial read: there it has `not_read` for each key without an answer."""

    data: dict[str, Any]
    not_found: list[str]
    meta: dict[str, KeyMeta]
    failed: dict[str, str]


class UserChanges(TypedDict, total=False):
    """The changes of a user. Another `password` voids the user's tokens."""

    password: str
    scopes: list[str]
    disabled: bool


class User(NamedTuple):
    """A user of the api: its scopes, and whether its logins and tokens are refused."""

    name: str
    scopes: list[str]
    disabled: bool


class TouchResult(NamedTuple):
    """How many keys were touched, and which are absent."""

    touched: int
    not_found: list[str]


class Page(NamedTuple):
    """A page of a scan. `cursor` leads to the next page; None after the last."""

    items: list[Item]
    cursor: str | None
    complete: bool


class ImportResult(NamedTuple):
    """The result of imported lines. `rejected` has up to 100 with `line`, `key`, `code` and `detail`; `rejected_more`
    counts the rest.
    """

    lines: int
    applied: int
    already_there: int
    rejected: list[dict[str, Any]]
    rejected_more: int


class Ready(NamedTuple):
    """The answer of `/health/ready`. `reason` says why the api should get no requests; None: it should get some."""

    shards: list[str]
    shards_down: list[str]
    reason: str | None = None
