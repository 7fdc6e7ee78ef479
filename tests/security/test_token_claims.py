"""Tokens with an attacker's claims, or with claims that the api's tokens never have. All get the same answer."""

import json
import time

import pytest

from tests.contract.calls import Api
from tests.integration.conftest import Claims, User, login
from tests.security.forging import HEADER, as_json, encoded, signed, with_signature
from tests.security.token_attacks import refused, taken


def test_claims_under_the_signature_of_other_claims_are_refused(
    api: Api, secret: str, claims: Claims, service_admin: User
) -> None:
    good = login(api, service_admin)
    assert taken(api, good)
    for change in ({"sub": "root"}, {"scopes": ["admin", "read", "write"]}, {"exp": claims["exp"] + 1}, {"jti": "x"}):
        payload = encoded(as_json({**claims, **change}))
        header, _, signature = good.split(".")
        refused(api, f"{header}.{payload}.{signature}")
    # The header of one token and the rest of the other.
    other_header = encoded(as_json({"alg": "HS256"}))
    refused(api, f"{other_header}.{good.partition('.')[2]}")
    weaker = signed(HEADER, {**claims, "scopes": []}, secret)
    refused(api, with_signature(good, weaker.rpartition(".")[2]))


# ---- claims: even with a valid signature they must have the api's form


WRONG: dict[str, Claims] = {
    "without exp": {"exp": ...},
    "exp null": {"exp": None},
    "exp a text": {"exp": "9999999999"},
    "exp a word": {"exp": "never"},
    "exp with a fraction": {"exp": time.time() + 600.5},
    "exp true": {"exp": True},
    "exp a list": {"exp": [9999999999]},
    "exp negative": {"exp": -1},
    "exp far away": {"exp": int(time.time()) + 32 * 31_536_000},
    "exp in milliseconds": {"exp": int(time.time() * 1000) + 60_000},
    "exp past 64 bits": {"exp": 2**64},
    "exp of a thousand digits": {"exp": 10**1000},
    "without iat": {"iat": ...},
    "iat null": {"iat": None},
    "iat a text": {"iat": "0"},
    "iat negative": {"iat": -1},
    "nbf null": {"nbf": None},
    "nbf a text": {"nbf": "0"},
    "without sub": {"sub": ...},
    "sub null": {"sub": None},
    "sub a number": {"sub": 1},
    "sub a list": {"sub": ["admin"]},
    "sub an object": {"sub": {"$ne": ""}},
    "sub empty": {"sub": ""},
    "sub too long": {"sub": "x" * 65},
    "without jti": {"jti": ...},
    "jti null": {"jti": None},
    "jti a number": {"jti": 1},
    "jti empty": {"jti": ""},
    "jti too long": {"jti": "x" * 65},
    "jti a list": {"jti": []},
    "without scopes": {"scopes": ...},
    "scopes null": {"scopes": None},
    "scopes a text": {"scopes": "read write"},
    "scopes an object": {"scopes": {"read": True}},
    "scopes of numbers": {"scopes": [1]},
    "scopes in lists": {"scopes": [["read"]]},
    # The format of tokens before passwords had generations.
    "without gen": {"gen": ...},
    "gen null": {"gen": None},
    "gen a text": {"gen": "1"},
    "gen true": {"gen": True},
    "gen a list": {"gen": [1]},
    "an audience": {"aud": "another service"},
    "audiences": {"aud": []},
    "an issuer": {"iss": "another service"},
    "a scope, as others call it": {"scope": "read write"},
    "a role": {"admin": True},
}


@pytest.mark.parametrize("name", WRONG)
def test_claims_that_the_api_never_issues_are_refused(api: Api, secret: str, claims: Claims, name: str) -> None:
    changed = {claim: value for claim, value in {**claims, **WRONG[name]}.items() if value is not ...}
    refused(api, signed(HEADER, changed, secret))


@pytest.mark.parametrize(
    "more",
    [
        '"exp":9999999999,',
        '"sub":"admin",',
        '"scopes":["read","write"],',
        '"ex\\u0070":1,',
        '"exp":NaN,',
        '"nbf":NaN,',
        '"nbf":-Infinity,',
    ],
)
def test_a_repeated_claim_and_a_claim_that_is_no_number_are_refused(
    api: Api, secret: str, claims: Claims, more: str
) -> None:
    refused(api, signed(HEADER, b"{" + more.encode() + as_json(claims)[1:], secret))
    if "NaN" in more or "Infinity" in more:
        name = json.loads("{" + more + '"x":1}').keys() - {"x"}
        rest = {claim: value for claim, value in claims.items() if claim not in name}
        refused(api, signed(HEADER, b"{" + more.encode() + as_json(rest)[1:], secret))


@pytest.mark.parametrize(
    "payload", [b"", b"{}", b"[]", b"null", b"1", b'"x"', b"{", b"\xff", b"{}{}", b"[" * 2500, b'{"sub":' * 300]
)
def test_claims_that_are_not_an_object_are_refused(api: Api, secret: str, payload: bytes) -> None:
    refused(api, signed(HEADER, payload, secret))


@pytest.mark.parametrize("size", [4096, 5000, 20_000, 40_000])
def test_a_very_long_token_is_refused(api: Api, secret: str, claims: Claims, size: int) -> None:
    refused(api, signed(HEADER, {**claims, "scopes": ["x" * size]}, secret))
    refused(api, "x" * size)
    refused(api, "." * size)


@pytest.mark.parametrize(
    "token",
    [
        b"\xff\xfe",
        "тoken".encode(),
        "a.b.c\u0301".encode(),
        b"..",
        b"...",
        b".",
        b"Bearer",
        b"Bearer x",
        b"\xf0\x9f\x94\x91",
    ],
)
def test_a_text_that_is_not_a_token_is_refused(api: Api, token: bytes) -> None:
    refused(api, token)
