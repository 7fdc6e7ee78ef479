"""What these tests share with the integration tests: the session's cluster, clients, users, apis beside its own."""

from tests.integration.conftest import (
    api,
    documented,
    fresh_key,
    new_api,
    new_user,
    second,
    second_api,
    sending,
    service,
    service_admin,
    store,
    stranger,
    strict,
    strict_api,
    token,
)

__all__ = [
    "api",
    "documented",
    "fresh_key",
    "new_api",
    "new_user",
    "second",
    "second_api",
    "sending",
    "service",
    "service_admin",
    "store",
    "stranger",
    "strict",
    "strict_api",
    "token",
]
