"""Settings of the workers' account in the store."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from protocol.settings.base import Settings

RESERVED_USERS = frozenset({"guest", "admin", "public", "replication", "super"})
"""Names of the database's own users and roles."""


class StoreSettings(Settings, frozen=True, kw_only=True):
    """How to log in to a shard."""

    store_user: Annotated[
        str,
        Meta(
            pattern=r"^[A-Za-z_][A-Za-z0-9_.-]*\Z",
            description="Tarantool user of the workers; not one of the database's own.",
        ),
    ] = "tarantkv"
    store_password: Annotated[str, Meta(min_length=1, description="Password of `TARANTKV_STORE_USER`.")]

    def __post_init__(self) -> None:
        if self.store_user in RESERVED_USERS:
            raise ValueError(f"TARANTKV_STORE_USER is {self.store_user}, which is a reserved name of the database")
