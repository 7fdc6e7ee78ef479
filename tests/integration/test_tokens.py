"""Tokens against a running system: signatures, scopes, revocation, replaced secrets and passwords."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from localcluster.cluster import Cluster
from tests.contract.calls import Api, json_body
from tests.contract.documented import Documented
from tests.contract.problems import assert_usable, problem_of
from tests.contract.waiting import until
from tests.integration.conftest import PASSWORD, NewApi, NewUser, User, login
from tests.integration.processes import manage

FreshKey = Callable[[], str]
_HEADER = b'{"alg":"HS256"}'
STOPS_WITHIN_S = 5.0
OTHER_SECRET = "another secret which is long enough as well"

CALLS = {"write": ("write", {"data": {"tokens": 1}}), "read": ("read", {"keys": ["tokens"]})}


def tried(api: Api, token: str, call: str = "read") -> int:
    """The status of a request with a token."""
    path, document = CALLS[call]
    return api.post(path, json_body(document), {"authorization": token}).status_code


def refused(api: Api, token: str, mentions: str) -> None:
    answer = api.post("read", json_body({"keys": ["a"]}), {"authorization": token})
    problem_of(answer, "unauthorized", mentions)
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert token not in answer.text
    assert_usable(api, answer)


def encoded(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


def signed(header: dict[str, Any], claims: dict[str, Any], secret: bytes) -> str:
    """A token with any header, signed as HS256 whatever the header says."""
    text = f"{encoded(json.dumps(header).encode())}.{encoded(json.dumps(claims).encode())}"
    return f"{text}.{encoded(hmac.digest(secret, text.encode(), hashlib.sha256))}"


def test_a_token_made_like_those_of_the_api_is_accepted(api: Api, secret: str, claims: dict[str, Any]) -> None:
    assert tried(api, jwt.encode(claims, secret, "HS256")) == 200
    assert tried(api, signed({"alg": "HS256", "typ": "JWT"}, claims, secret.encode())) == 200


def test_a_token_without_an_algorithm_is_refused(api: Api, claims: dict[str, Any]) -> None:
    refused(api, jwt.encode(claims, "", "none"), "not valid")


@pytest.mark.parametrize("name", ["none", "None", "NONE", "nOnE", "", "HS384", "RS256", "ES256", "hs256"])
@pytest.mark.parametrize("signature", ["HS256", "none"])
def test_a_token_that_names_another_algorithm_is_refused(
    api: Api, secret: str, claims: dict[str, Any], name: str, signature: str
) -> None:
    token = signed({"alg": name, "typ": "JWT"}, claims, secret.encode())
    refused(api, token if signature == "HS256" else token.rpartition(".")[0] + ".", "not valid")


@pytest.mark.parametrize("algorithm", ["HS384", "HS512"])
def test_a_token_with_another_hash_is_refused(api: Api, secret: str, claims: dict[str, Any], algorithm: str) -> None:
    refused(api, jwt.encode(claims, secret, algorithm), "not valid")


def test_a_token_with_a_public_key_signature_is_refused(api: Api, claims: dict[str, Any]) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    refused(api, jwt.encode(claims, key, "RS256"), "not valid")
    # An old fault of libraries: they used the public key, which everybody knows, as a shared secret.
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    refused(api, signed({"alg": "HS256", "typ": "JWT"}, claims, public), "not valid")


def test_a_token_signed_with_another_key_is_refused(api: Api, claims: dict[str, Any]) -> None:
    refused(api, jwt.encode(claims, OTHER_SECRET, "HS256"), "not valid")


def test_a_token_that_contains_its_own_key_is_refused(api: Api, claims: dict[str, Any]) -> None:
    header = {"jwk": {"kty": "oct", "k": encoded(OTHER_SECRET.encode())}, "kid": "../../dev/null", "jku": "http://x"}
    refused(api, jwt.encode(claims, OTHER_SECRET, "HS256", headers=header), "not valid")


@pytest.mark.parametrize("part", [0, 1, 2])
def test_a_token_that_was_tampered_with_is_refused(api: Api, secret: str, claims: dict[str, Any], part: int) -> None:
    parts = jwt.encode(claims, secret, "HS256").split(".")
    middle = len(parts[part]) // 2
    changed = "A" if parts[part][middle] != "A" else "B"
    parts[part] = parts[part][:middle] + changed + parts[part][middle + 1 :]
    refused(api, ".".join(parts), "not valid")


def test_a_token_with_more_scopes_written_into_it_is_refused(api: Api, secret: str, claims: dict[str, Any]) -> None:
    header, _, signature = jwt.encode({**claims, "scopes": []}, secret, "HS256").split(".")
    refused(api, f"{header}.{encoded(json.dumps(claims).encode())}.{signature}", "not valid")


def test_an_expired_token_is_refused(api: Api, secret: str, claims: dict[str, Any]) -> None:
    claims |= {"iat": claims["iat"] - 3600, "exp": claims["iat"] - 10}
    refused(api, jwt.encode(claims, secret, "HS256"), "expired")


def test_a_token_expires_even_while_it_is_in_use(api: Api, secret: str, claims: dict[str, Any]) -> None:
    # The api allows for five seconds between the clocks of machines: this token has one or two seconds left.
    token = jwt.encode({**claims, "exp": int(time.time()) - 3}, secret, "HS256")
    assert tried(api, token) == 200
    until(lambda: tried(api, token) == 401, 4, "an expired token is still accepted")
    refused(api, token, "expired")


@pytest.mark.parametrize("claim", ["nbf", "iat"])
def test_a_token_that_is_not_valid_yet_is_refused(api: Api, secret: str, claims: dict[str, Any], claim: str) -> None:
    refused(api, jwt.encode({**claims, claim: claims["iat"] + 30}, secret, "HS256"), "not valid yet")


@pytest.mark.parametrize("claim", ["sub", "iat", "exp", "jti", "scopes"])
def test_a_token_without_a_claim_is_refused(api: Api, secret: str, claims: dict[str, Any], claim: str) -> None:
    del claims[claim]
    refused(api, jwt.encode(claims, secret, "HS256"), "not valid")


@pytest.mark.parametrize(
    ("claim", "value"),
    [
        ("sub", ""),
        ("sub", "x" * 65),
        ("sub", "nobody"),
        ("exp", "tomorrow"),
        ("exp", None),
        ("iat", "today"),
        ("jti", "x" * 65),
        ("scopes", "read"),
        ("scopes", None),
        ("scopes", [1]),
        ("scopes", {"read": True}),
    ],
)
def test_a_token_with_a_claim_of_another_form_is_refused(
    api: Api, secret: str, claims: dict[str, Any], claim: str, value: Any
) -> None:
    token = signed({"alg": "HS256", "typ": "JWT"}, {**claims, claim: value}, secret.encode())
    problem_of(api.post("read", json_body({"keys": ["a"]}), {"authorization": token}), "unauthorized")


def test_claims_that_are_not_an_object_are_refused(api: Api, secret: str) -> None:
    for content in (b"[]", b"1", b"x", b"\xff", b""):
        text = f"{encoded(_HEADER)}.{encoded(content)}"
        token = f"{text}.{encoded(hmac.digest(secret.encode(), text.encode(), hashlib.sha256))}"
        refused(api, token, "not valid")


@pytest.mark.parametrize(("scopes", "allowed"), [("read", "read"), ("write", "write")])
def test_a_call_without_its_scope_is_forbidden(
    api: Api, new_user: NewUser, fresh_key: FreshKey, scopes: str, allowed: str
) -> None:
    token = {"authorization": login(api, new_user(scopes))}
    bodies = {
        "write": json_body({"data": {fresh_key(): 1}}),
        "delete": json_body({"keys": [fresh_key()]}),
        "touch": json_body({"keys": [fresh_key()], "ttl": 1}),
        "increment": json_body({"data": {fresh_key(): 1}}),
        "read": json_body({"keys": [fresh_key()], "with": ["version"], "partial": True}),
    }
    for call, body in bodies.items():
        answer = api.post(call, body, token)
        if (call == "read") == (allowed == "read"):
            assert answer.status_code == 200
        else:
            problem_of(answer, "forbidden", "write" if allowed == "read" else "read")
            assert_usable(api, answer)
    assert api.post("logout", b"", token).status_code == 200


@pytest.mark.parametrize(("scopes", "allowed"), [("read", ["GET", "HEAD"]), ("write", ["PUT", "DELETE"])])
def test_each_method_on_a_key_needs_its_scope(
    api: Api, new_user: NewUser, fresh_key: FreshKey, scopes: str, allowed: list[str]
) -> None:
    key = fresh_key()
    token = {"authorization": login(api, new_user(scopes)), "content-type": "application/json"}
    for method in ("PUT", "GET", "HEAD", "DELETE"):
        api.write({key: 1})
        content = b"1" if method == "PUT" else None
        answer = api.http.request(method, f"/api/keys/{key}", content=content, headers=token)
        assert answer.status_code == (200 if method in allowed else 403), method


def test_a_token_has_no_scope_that_its_user_lacks(api: Api, secret: str, new_user: NewUser) -> None:
    issued = jwt.decode(login(api, new_user("read")), options={"verify_signature": False})
    token = jwt.encode({**issued, "scopes": ["read", "write", "admin"]}, secret, "HS256")
    assert tried(api, token) == 200
    assert tried(api, token, "write") == 403


def test_a_user_has_no_scope_that_the_token_lacks(api: Api, secret: str, claims: dict[str, Any]) -> None:
    assert tried(api, jwt.encode({**claims, "scopes": ["read"]}, secret, "HS256"), "write") == 403


def test_logout_revokes_a_token_in_every_api_within_five_seconds(api: Api, second: Api, service_admin: User) -> None:
    token, other = login(api, service_admin), login(api, service_admin)
    assert tried(second, token) == 200
    assert api.post("logout", b"", {"authorization": token}).status_code == 200
    refused(api, token, "revoked")
    until(lambda: tried(second, token) == 401, STOPS_WITHIN_S, "a revoked token is still accepted")
    refused(second, token, "revoked")
    assert tried(second, other) == 200


def test_a_disabled_user_loses_access_within_five_seconds_and_regains_it_when_enabled(
    cluster: Cluster, api: Api, second: Api, new_user: NewUser
) -> None:
    user = new_user()
    token = login(api, user)
    assert tried(api, token) == 200
    assert tried(second, token) == 200
    assert manage(cluster, "disable", user.name).returncode == 0
    until(lambda: tried(api, token) == 401, STOPS_WITHIN_S, "a disabled user still has access")
    refused(api, token, "disabled")
    problem_of(api.post("login", json_body({"username": user.name, "password": user.password})), "unauthorized")
    assert manage(cluster, "enable", user.name).returncode == 0
    until(lambda: tried(api, token) == 200, STOPS_WITHIN_S, "an enabled user still has no access")
    assert tried(second, login(second, user)) == 200


def test_a_new_password_invalidates_earlier_tokens(cluster: Cluster, strict: Api, new_user: NewUser) -> None:
    user = new_user()
    before = login(strict, user)
    assert tried(strict, before) == 200
    changed = manage(cluster, "set-password", user.name, password="a quite different password")
    assert changed.returncode == 0, changed.stderr
    until(
        lambda: tried(strict, before) == 401, STOPS_WITHIN_S, "a token from before the new password is still accepted"
    )
    refused(strict, before, "revoked")
    old = strict.post("login", json_body({"username": user.name, "password": PASSWORD}))
    problem_of(old, "unauthorized", "wrong")
    assert tried(strict, login(strict, User(user.name, "a quite different password"))) == 200


def test_a_secret_can_be_replaced_without_invalidating_tokens(
    cluster: Cluster,
    api: Api,
    new_api: NewApi,
    secret: str,
    claims: dict[str, Any],
    service_admin: User,
    documented: Documented,
) -> None:
    both = new_api(TARANTKV_JWT_SECRET=f"{OTHER_SECRET},{secret}")
    with Api(both.base_url, None, documented) as rotated:
        assert tried(rotated, login(api, service_admin)) == 200
        fresh = login(rotated, service_admin)
        assert tried(rotated, fresh) == 200
        assert jwt.decode(fresh, OTHER_SECRET, ["HS256"])["sub"] == cluster.admin_user
        refused(api, fresh, "not valid")
        refused(rotated, jwt.encode(claims, "x" * 32, "HS256"), "not valid")
        expired = {**claims, "exp": claims["iat"] - 10}
        refused(rotated, jwt.encode(expired, secret, "HS256"), "expired")


def test_a_secret_is_refused_after_its_removal_from_the_setting(
    api: Api, new_api: NewApi, service_admin: User, documented: Documented
) -> None:
    after = new_api(TARANTKV_JWT_SECRET=OTHER_SECRET)
    with Api(after.base_url, None, documented) as rotated:
        refused(rotated, login(api, service_admin), "not valid")
