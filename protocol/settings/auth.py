"""Settings of tokens, accounts and logins."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from protocol.settings.base import Settings

MIN_SECRET_LENGTH = 32
MIN_SECRET_CHARACTERS = 8
"""A secret needs this many different characters: one with fewer was probably not random."""

MIN_PASSWORD_LENGTH = 8
MAX_PASSWORD_BYTES = 1024
"""The longest password that a login accepts."""

USER_NAME = r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}"
"""The form of user names, as a regular expression for the whole name."""


class AuthSettings(Settings, frozen=True, kw_only=True):
    """Tokens, accounts and logins."""

    jwt_secret: Annotated[
        str,
        Meta(
            description=f"Secret that signs tokens, {MIN_SECRET_LENGTH} characters or more. Several, separated by "
            "commas, are all accepted; the first one signs."
        ),
    ]
    token_ttl_s: Annotated[int, Meta(ge=1, le=31_536_000, description="Seconds for which a token is valid.")] = 3600
    auth_cache_s: Annotated[
        float, Meta(ge=0, le=5, description="Seconds for which an api process caches an account's state, 5 at most.")
    ] = 5.0
    admin_user: Annotated[
        str, Meta(pattern=rf"^{USER_NAME}\Z", description="User with every scope, created at the first start.")
    ] = "admin"
    admin_password: Annotated[
        str, Meta(description="First password of `TARANTKV_ADMIN_USER`; ignored if this user exists already.")
    ] = ""
    login_tries_per_user: Annotated[
        int,
        Meta(ge=1, description="Failed logins for one user name within the window, after which the api answers 429."),
    ] = 10
    login_tries_per_address: Annotated[
        int,
        Meta(
            ge=1,
            description="Failed logins from one address (for IPv6: one /64 network) within the window, after which "
            "the api answers 429.",
        ),
    ] = 50
    login_window_s: Annotated[
        int, Meta(ge=1, le=86400, description="Length of the window in which failed logins are counted, in seconds.")
    ] = 60

    def __post_init__(self) -> None:
        secrets = self.jwt_secrets
        if not secrets or min(map(len, secrets)) < MIN_SECRET_LENGTH:
            raise ValueError(f"TARANTKV_JWT_SECRET must have {MIN_SECRET_LENGTH} characters or more")
        if min(len(set(secret)) for secret in secrets) < MIN_SECRET_CHARACTERS:
            raise ValueError(f"TARANTKV_JWT_SECRET must have {MIN_SECRET_CHARACTERS} different characters or more")
        if self.admin_password and len(self.admin_password) < MIN_PASSWORD_LENGTH:
            raise ValueError(f"TARANTKV_ADMIN_PASSWORD must have {MIN_PASSWORD_LENGTH} characters or more")
        if len(self.admin_password.encode("utf-8", "surrogateescape")) > MAX_PASSWORD_BYTES:
            raise ValueError(f"TARANTKV_ADMIN_PASSWORD must have {MAX_PASSWORD_BYTES} bytes or fewer")

    @property
    def jwt_secrets(self) -> tuple[str, ...]:
        """The secrets with which a token may be signed; the first one signs new tokens."""
        return tuple(part.strip() for part in self.jwt_secret.split(",")) if self.jwt_secret else ()
