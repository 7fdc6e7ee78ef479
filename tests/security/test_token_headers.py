"""Tokens whose header has other or further members than those of the api. All get the same answer."""

from typing import Any

import pytest

from tests.contract.calls import Api
from tests.integration.conftest import Claims
from tests.security.forging import HEADER, as_json, encoded, signed
from tests.security.token_attacks import FOREIGN, refused

ZERO = b"\0"

INJECTED: dict[str, Any] = {
    "kid": "../../../../dev/null",
    "kid of a query": "x' UNION SELECT 'aaa",
    "jku": "http://127.0.0.1:1/keys.json",
    "jwk": {"kty": "oct", "k": encoded(FOREIGN.encode())},
    "x5u": "http://127.0.0.1:1/cert.pem",
    "x5c": ["MIIB"],
    "x5t": "AAAA",
    "crit": ["exp"],
    "crit of what is not there": ["b64", "x"],
    "b64": False,
    "zip": "DEF",
    "cty": "JWT",
    "enc": "A256GCM",
    "epk": {},
    "p2c": 2_147_483_647,
    "iss": "x",
}


@pytest.mark.parametrize("member", INJECTED)
@pytest.mark.parametrize("key", ["foreign", "empty", "ours"])
def test_a_header_with_a_key_or_further_members_is_refused(
    api: Api, secret: str, claims: Claims, member: str, key: str
) -> None:
    signing = {"foreign": FOREIGN, "empty": "", "ours": secret}[key]
    refused(api, signed({**HEADER, member.partition(" ")[0]: INJECTED[member]}, claims, signing))


@pytest.mark.parametrize("name", ["JWE", "JWS", "at+jwt", "dpop+jwt", "logout+jwt", "", None, 1])
def test_another_type_of_token_is_refused(api: Api, secret: str, claims: Claims, name: Any) -> None:
    refused(api, signed({**HEADER, "typ": name}, claims, secret))


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"{",
        b"{}x",
        b"[" * 2500,
        b'{"alg":' * 300,
        b'{"alg":"HS256","alg":"none"}',
        b'{"alg":"HS256\xff"}',
        b"\xef\xbb\xbf{}",
    ],
)
def test_a_damaged_or_deeply_nested_header_is_refused(api: Api, secret: str, claims: Claims, header: bytes) -> None:
    refused(api, signed(header, claims, secret))


def test_a_token_within_a_token_is_refused(api: Api, secret: str, claims: Claims) -> None:
    inner = signed(HEADER, claims, secret)
    refused(api, signed(HEADER, inner.encode(), secret))
    refused(api, signed({**HEADER, "cty": "JWT"}, inner.encode(), secret))
    refused(api, signed(HEADER, as_json(inner), secret))


def test_an_encrypted_token_is_refused(api: Api, claims: Claims) -> None:
    for header in ({"alg": "dir", "enc": "A256GCM"}, {"alg": "RSA-OAEP", "enc": "A256GCM", "cty": "JWT"}, HEADER):
        refused(
            api,
            ".".join((encoded(as_json(header)), "", encoded(b"0" * 12), encoded(as_json(claims)), encoded(ZERO * 16))),
        )
