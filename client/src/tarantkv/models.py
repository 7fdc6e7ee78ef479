"""The types that calls take and return."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, TypeAlias, TypedDict

Condition: TypeAlias = Literal["absent", "present"] | Mapping[str, str] | None
"""`"absent"`, `"present"` or `{"version": "…"}`; None: in any case."""

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
"""Options of a single key, in place of those of the batch. Which of them a call takes stands in docs/api.md."""


class ChangeOptions(TypedDict, total=False):
    """What every change takes. `idempotency_key`: 1 to 200 printable ASCII characters, in place of one made here.
    `deadline`: seconds for all tries together, in place of the client's.
    """

    options: Mapping[str, KeyOptions]
    idempotency_key: str
    deadline: float


class DeleteOptions(ChangeOptions, total=False):
    """`if_`: delete only where this holds."""

    if_: Condition


class WriteOptions(DeleteOptions, total=False):
    """`ttl` or `expires_at` (Unix time): when the keys expire. `versions`: answer the new version of each key."""

    ttl: Ttl
    expires_at: float
    versions: bool


class TouchOptions(ChangeOptions, total=False):
    """`ttl` or `expires_at` is needed, for all keys or for each in `options`."""

    ttl: float | None
    expires_at: float


class IncrementOptions(ChangeOptions, total=False):
    """`initial`: what a key counts as that is not there. `min`, `max`: bounds of the result.
    `ttl` or `expires_at` counts where the key is made; `ttl_on="always"`: each time.
    """

    ttl: float | None
    expires_at: float
    ttl_on: Literal["create", "always"]
    initial: int
    min: int
    max: int


class ScanOptions(TypedDict, total=False):
    """`start` is included, `end` is not. `with_`: what to tell of each key beside its value."""

    start: str
    end: str
    reverse: bool
    values: bool
    with_: tuple[With, ...] | list[With]


class ExportOptions(TypedDict, total=False):
    """`segment` of `segments`: one of so many parts of the keys, for exports side by side."""

    start: str
    end: str
    values: bool
    segment: int
    segments: int


class KeyMeta(NamedTuple):
    """What is told of a key beside its value. `expires_at` is Unix time; None: never, or not asked for."""

    version: str | None = None
    expires_at: float | None = None


class Item(NamedTuple):
    """A key of a scan or an export. `value` is None also where values were not asked for."""

    key: str
    value: Any = None
    version: str | None = None
    expires_at: float | None = None


class ReadResult(NamedTuple):
    """`failed` is empty but in a partial read: there it has `not_read` for each key without an answer."""

    data: dict[str, Any]
    not_found: list[str]
    meta: dict[str, KeyMeta]
    failed: dict[str, str]


class UserChanges(TypedDict, total=False):
    """What to change of a user. Another `password` ends the user's tokens."""

    password: str
    scopes: list[str]
    disabled: bool


class User(NamedTuple):
    """A user of the api: what it may do, and whether its logins and tokens are refused."""

    name: str
    scopes: list[str]
    disabled: bool


class TouchResult(NamedTuple):
    """How many keys were touched, and which are not there."""

    touched: int
    not_found: list[str]


class Page(NamedTuple):
    """A page of a scan. `cursor` leads to the next page; None after the last."""

    items: list[Item]
    cursor: str | None
    complete: bool


class ImportResult(NamedTuple):
    """What became of lines. `rejected` has up to 100 with `line`, `key`, `code` and `detail`; `rejected_more` counts
    the rest.
    """

    lines: int
    applied: int
    already_there: int
    rejected: list[dict[str, Any]]
    rejected_more: int


class Ready(NamedTuple):
    """What `/health/ready` says. `reason` says why the api should not be sent requests; None: it should."""

    shards: list[str]
    shards_down: list[str]
    reason: str | None = None
