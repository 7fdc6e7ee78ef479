"""An account or token that has ended stays invalid in every api, by every clock, and under every name."""

import time
from collections.abc import Callable

import jwt
import pytest

from api.auth.tokens import LEEWAY_S
from localcluster.cluster import Cluster
from protocol.settings.deadlines import CLOCK_SKEW_S
from tests.contract.calls import Api, json_body
from tests.contract.problems import problem_of
from tests.contract.waiting import until
from tests.faults.injections_shards import ShardClock
from tests.integration.conftest import Claims, NewUser, User, login
from tests.integration.processes import manage
from tests.integration.store import Store

STOPS_WITHIN_S = 5.0
SKEW_S = 28
"""How far the shards' clocks are ahead: the most that the settings allow, minus the time that the test may take."""
BODY = json_body({"keys": ["contract:tokens"]})


def status(api: Api, token: str) -> int:
    return api.post("read", BODY, {"authorization": token}).status_code


def refused(api: Api, token: str, mentions: str) -> None:
    problem_of(api.post("read", BODY, {"authorization": token}), "unauthorized", mentions)


def changed(token: str, secret: str, **changes: object) -> str:
    """An issued token with other claims and a valid signature."""
    return jwt.encode({**jwt.decode(token, options={"verify_signature": False}), **changes}, secret, "HS256")


@pytest.fixture
def remove_user(store: Store) -> Callable[[User], None]:
    """Removes a user's record directly, because no command does only that."""

    def remove(user: User) -> None:
        for console in store.consoles.values():
            records = f"box.space.users:pairs('{user.name}')"
            console.run(f"for _, record in {records} do box.space.users:delete({{record[1], record[2]}}) end")

    return remove


def test_the_token_of_a_user_without_a_record_is_refused_within_five_seconds(
    api: Api, second: Api, remove_user: Callable[[User], None], new_user: NewUser
) -> None:
    user = new_user()
    token = login(api, user)
    assert [status(client, token) for client in (api, second)] == [200, 200]
    remove_user(user)
    for client in (api, second):
        until(lambda client=client: status(client, token) == 401, STOPS_WITHIN_S, "a removed user still has access")  # type: ignore[misc]
        refused(client, token, "disabled")
        problem_of(client.post("logout", b"", {"authorization": token}), "unauthorized")
    body = json_body({"username": user.name, "password": user.password})
    problem_of(api.post("login", body), "unauthorized", "the user name or the password is wrong")


def test_a_token_is_not_valid_for_a_later_user_of_the_same_name(
    cluster: Cluster, api: Api, remove_user: Callable[[User], None], new_user: NewUser
) -> None:
    user = new_user()
    token = login(api, user)
    assert status(api, token) == 200
    remove_user(user)
    until(lambda: status(api, token) == 401, STOPS_WITHIN_S, "a removed user still has access")
    # The later user has the same password.
    assert manage(cluster, "user-add", user.name, password=user.password).returncode == 0
    until(lambda: "revoked" in api.post("read", BODY, {"authorization": token}).text, STOPS_WITHIN_S, "not revoked")
    assert status(api, login(api, user)) == 200
    refused(api, token, "revoked")


def test_a_new_password_ends_a_token_that_was_issued_by_a_clock_ahead(
    cluster: Cluster, api: Api, secret: str, new_user: NewUser
) -> None:
    user = new_user()
    token = changed(login(api, user), secret, iat=time.time() + 4)
    assert status(api, token) == 200
    assert manage(cluster, "set-password", user.name, password="a quite different password").returncode == 0
    until(lambda: status(api, token) == 401, STOPS_WITHIN_S, "a token from before the new password is still accepted")
    refused(api, token, "revoked")


def test_a_disabled_user_keeps_the_password_and_the_tokens(cluster: Cluster, api: Api, new_user: NewUser) -> None:
    user = new_user()
    token = login(api, user)
    assert manage(cluster, "disable", user.name).returncode == 0
    refused(api, token, "disabled")
    assert manage(cluster, "enable", user.name).returncode == 0
    until(lambda: status(api, token) == 200, STOPS_WITHIN_S, "an enabled user still has no access")


def test_a_revoked_token_stays_revoked_while_its_leeway_lasts(
    api: Api, second: Api, secret: str, claims: Claims
) -> None:
    token = jwt.encode({**claims, "jti": "ended-with-leeway", "exp": int(time.time()) - 2}, secret, "HS256")
    assert api.post("logout", b"", {"authorization": token}).status_code == 200
    # Another api asks the store, which must keep the revocation for as long as the token would be accepted.
    refused(second, token, "revoked")


def test_a_revocation_outlasts_its_token_in_a_shard_whose_clock_is_ahead(
    cluster: Cluster, api: Api, second: Api, secret: str, claims: Claims, store: Store
) -> None:
    token = jwt.encode({**claims, "jti": "ended-ahead", "exp": int(time.time()) + 20}, secret, "HS256")
    assert api.post("logout", b"", {"authorization": token}).status_code == 200
    # A shard keeps a revocation for this long after its token's expiry.
    kept_s = LEEWAY_S + CLOCK_SKEW_S
    over_ms = int((time.time() + SKEW_S - kept_s - 1) * 1000)
    clocks = [ShardClock(shard.name, SKEW_S) for shard in cluster.config.shards]
    for clock, console in zip(clocks, store.consoles.values(), strict=True):
        console.run(f"box.space.revoked:replace({{'over', 'over', 1, {over_ms}}})")
        clock.start(cluster)
    try:
        for console in store.consoles.values():
            until(
                lambda console=console: console.run("return box.space.revoked:count({'over'})") == 0,  # type: ignore[misc]
                10,
                "expired records were not removed",
            )
    finally:
        for clock in clocks:
            clock.stop(cluster)
    refused(second, token, "revoked")
