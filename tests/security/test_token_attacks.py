"""Attacks on JSON Web Tokens. Each gets one and the same answer, so that none tells how near it came."""

import json
import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from localcluster.cluster import Cluster
from tests.contract.calls import PROBLEM, Api, json_body
from tests.contract.problems import assert_usable
from tests.integration.conftest import User, login
from tests.security.forging import HEADER, as_json, encoded, signature_of, signed, with_signature

Claims = dict[str, Any]
BODY = json_body({"keys": ["contract:tokens"]})
FOREIGN = "an attacker's own secret, which is long enough"
RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
PUBLIC = {
    f"{kind} as {name}": key.public_key().public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo)
    for kind, key in (("RSA", RSA_KEY), ("EC", EC_KEY))
    for name, encoding in (("PEM", serialization.Encoding.PEM), ("DER", serialization.Encoding.DER))
}
REFUSAL = {
    "type": "urn:tarant-kv:problem:unauthorized",
    "title": "Valid credentials are needed",
    "status": 401,
    "detail": "the token is not valid",
    "request_id": "an-attack",
}
CHALLENGE = 'Bearer realm="tarant-kv"'
SPELLINGS_OF_NONE = ("none", "None", "NONE", "nOnE", "none ", " none", "none\0", "", "null")  # fmt: skip
ZERO = b"\0"
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


@pytest.fixture
def secret(cluster: Cluster) -> str:
    return cluster.settings["TARANTKV_JWT_SECRET"]


@pytest.fixture
def claims(cluster: Cluster) -> Claims:
    """What a good token of the administrator says."""
    now = int(time.time())
    return {"sub": cluster.admin_user, "iat": now, "exp": now + 60, "jti": "ab" * 16, "scopes": ["read", "write"]}


def refused(api: Api, token: str | bytes) -> None:
    """Both ways that a token may be sent get the one answer there is."""
    raw = token.encode() if isinstance(token, str) else token
    for authorization in (b"Bearer " + raw, raw):
        headers = [(b"Authorization", authorization), (b"X-Request-Id", b"an-attack")]
        answer = api.http.post("/api/read", content=BODY, headers=headers)
        assert (answer.status_code, answer.json()) == (401, REFUSAL)
        assert answer.headers["www-authenticate"] == CHALLENGE
        assert answer.headers["content-type"] == PROBLEM
        assert_usable(api, answer)


def taken(api: Api, token: str) -> bool:
    return api.post("read", BODY, {"authorization": token}).status_code == 200


def test_what_is_attacked_here_would_be_taken_as_it_is(api: Api, secret: str, claims: Claims) -> None:
    assert taken(api, signed(HEADER, claims, secret))
    assert taken(api, signed({"alg": "HS256"}, claims, secret))
    assert taken(api, signed(HEADER, {**claims, "nbf": claims["iat"]}, secret))


# ---- algorithms


@pytest.mark.parametrize("name", SPELLINGS_OF_NONE)
@pytest.mark.parametrize("signature", ["", "AA", "AAAA", "signed"])
def test_the_algorithm_none(api: Api, secret: str, claims: Claims, name: str, signature: str) -> None:
    token = signed({"alg": name, "typ": "JWT"}, claims, secret)
    refused(api, token if signature == "signed" else with_signature(token, signature))


@pytest.mark.parametrize(
    "header", [{"typ": "JWT"}, {"alg": None}, {"alg": 1}, {"alg": ["HS256"]}, {"alg": {}}, {}, [], "HS256", None, 1]
)
def test_an_algorithm_that_is_missing_or_no_text(api: Api, secret: str, claims: Claims, header: Any) -> None:
    refused(api, signed(header, claims, secret))


@pytest.mark.parametrize(
    "name", ["hs256", "HS256 ", "HS1", "HS384", "HS512", "RS256", "PS256", "ES256", "ES256K", "EdDSA", "dir", "A256KW"]
)
def test_another_algorithm_over_a_right_signature(api: Api, secret: str, claims: Claims, name: str) -> None:
    refused(api, signed({**HEADER, "alg": name}, claims, secret))


@pytest.mark.parametrize("algorithm", ["HS384", "HS512"])
@pytest.mark.parametrize("named", ["HS256", "HS384", "HS512"])
def test_another_hash_with_the_right_secret(api: Api, secret: str, claims: Claims, algorithm: str, named: str) -> None:
    refused(api, signed({**HEADER, "alg": named}, claims, secret, algorithm))


@pytest.mark.parametrize("key", PUBLIC)
@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
def test_a_public_key_as_the_secret(api: Api, claims: Claims, key: str, algorithm: str) -> None:
    for name in (algorithm, "RS256", "ES256"):
        refused(api, signed({**HEADER, "alg": name}, claims, PUBLIC[key], algorithm))


def test_a_signature_with_a_key_of_its_own(api: Api, claims: Claims) -> None:
    for key, name in ((RSA_KEY, "RS256"), (RSA_KEY, "RS512"), (RSA_KEY, "PS256"), (EC_KEY, "ES256")):
        refused(api, jwt.encode(claims, key, name))
    for word in (FOREIGN, "", " ", "secret", "null", "undefined", ZERO * 32, "tarant-kv"):
        refused(api, signed(HEADER, claims, word))


@pytest.mark.parametrize("name", ["ES256", "HS256", "ES384"])
def test_a_signature_of_zeros(api: Api, claims: Claims, name: str) -> None:
    """Elliptic curves' verifiers took r = s = 0 for a signature of anything, and some the curve's order as well."""
    token = signed({**HEADER, "alg": name}, claims, FOREIGN)
    for signature in (
        ZERO * 32,
        ZERO * 64,
        ZERO * 96,
        P256_ORDER.to_bytes(32, "big") * 2,
        bytes.fromhex("3006020100020100"),
    ):
        refused(api, with_signature(token, encoded(signature)))


# ---- the signature, and other spellings of the same


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda _: b"", id="empty"),
        pytest.param(lambda s: s[:-1], id="a byte short"),
        pytest.param(lambda s: s[:16], id="half"),
        pytest.param(lambda s: s + ZERO, id="a byte long"),
        pytest.param(lambda s: s + s, id="twice"),
        pytest.param(lambda s: ZERO + s, id="shifted"),
        pytest.param(lambda s: bytes([s[0] ^ 1]) + s[1:], id="first bit"),
        pytest.param(lambda s: s[:-1] + bytes([s[-1] ^ 0x80]), id="last byte"),
        pytest.param(lambda s: s[::-1], id="backwards"),
        pytest.param(lambda s: s.hex().encode(), id="as hex"),
    ],
)
def test_a_changed_signature(api: Api, secret: str, claims: Claims, change: Callable[[bytes], bytes]) -> None:
    token = signed(HEADER, claims, secret)
    refused(api, with_signature(token, encoded(change(signature_of(token)))))


def other_spellings(token: str) -> dict[str, str]:
    """The same bytes, for a decoder that skips what it does not know and ignores bits to spare."""
    header, payload, signature = token.split(".")
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    last = alphabet.index(signature[-1])
    loose = {
        f"bits to spare {bits}": f"{header}.{payload}.{signature[:-1]}{alphabet[last | bits]}" for bits in (1, 2, 3)
    }
    return loose | {
        "padding": f"{token}=",
        "more padding": f"{token}====",
        "padding everywhere": f"{header}=.{payload}=.{signature}=",
        "a space": f"{header}.{payload}.{signature[:5]} {signature[5:]}",
        "a tab": f"{header}.{payload}.{signature[:5]}\t{signature[5:]}",
        "not of the alphabet": f"{header}.{payload}.{signature[:5]}!{signature[5:]}",
        "percent": f"{header}.{payload}.{signature}%00",
        "a character at the end": f"{token}A",
        "a dot at the end": f"{token}.",
        "a dot in front": f".{token}",
        "two dots": f"{header}..{payload}.{signature}",
        "four parts": f"{token}.{signature}",
        "quoted": f'"{token}"',
        "a word behind": f"{token} x",
        "a list": f"{token},{token}",
        "JSON, flattened": json.dumps({"protected": header, "payload": payload, "signature": signature}),
        "JSON, general": json.dumps(
            {"payload": payload, "signatures": [{"protected": header, "signature": signature}]}
        ),
        "unicode digits": f"{header}.{payload}.{signature[:-1]}\u0661",
        "full width": "".join(chr(ord(c) + 0xFEE0) if c.isalnum() else c for c in token),
        "a mark at the end": f"{token}\u200b",
        "a byte order mark": f"\ufeff{token}",
        "upper case": token.upper(),
        "hex": token.encode().hex(),
    }


SPELLINGS = list(other_spellings(signed(HEADER, {}, FOREIGN)))


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_another_spelling_of_a_good_token(api: Api, secret: str, claims: Claims, spelling: str) -> None:
    refused(api, other_spellings(signed(HEADER, claims, secret))[spelling])


def test_the_url_unsafe_alphabet(api: Api, secret: str, claims: Claims) -> None:
    token = next(
        token
        for number in range(1000)
        if {"-", "_"} & set((token := signed(HEADER, {**claims, "jti": f"j{number}"}, secret)).rpartition(".")[2])
    )
    assert taken(api, token)
    refused(api, with_signature(token, token.rpartition(".")[2].replace("-", "+").replace("_", "/")))


# ---- the header


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
def test_a_header_that_names_a_key_or_says_more(api: Api, secret: str, claims: Claims, member: str, key: str) -> None:
    signing = {"foreign": FOREIGN, "empty": "", "ours": secret}[key]
    refused(api, signed({**HEADER, member.partition(" ")[0]: INJECTED[member]}, claims, signing))


@pytest.mark.parametrize("name", ["JWE", "JWS", "at+jwt", "dpop+jwt", "logout+jwt", "", None, 1])
def test_another_type_of_token(api: Api, secret: str, claims: Claims, name: Any) -> None:
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
def test_a_header_that_is_damaged_or_deep(api: Api, secret: str, claims: Claims, header: bytes) -> None:
    refused(api, signed(header, claims, secret))


def test_a_token_in_a_token(api: Api, secret: str, claims: Claims) -> None:
    inner = signed(HEADER, claims, secret)
    refused(api, signed(HEADER, inner.encode(), secret))
    refused(api, signed({**HEADER, "cty": "JWT"}, inner.encode(), secret))
    refused(api, signed(HEADER, as_json(inner), secret))


def test_an_encrypted_token_in_place_of_a_signed_one(api: Api, claims: Claims) -> None:
    for header in ({"alg": "dir", "enc": "A256GCM"}, {"alg": "RSA-OAEP", "enc": "A256GCM", "cty": "JWT"}, HEADER):
        refused(
            api,
            ".".join((encoded(as_json(header)), "", encoded(b"0" * 12), encoded(as_json(claims)), encoded(ZERO * 16))),
        )


# ---- claims: without the secret


def test_claims_under_the_signature_of_others(api: Api, secret: str, claims: Claims, service_admin: User) -> None:
    good = login(api, service_admin)
    assert taken(api, good)
    for change in ({"sub": "root"}, {"scopes": ["admin", "read", "write"]}, {"exp": claims["exp"] + 1}, {"jti": "x"}):
        payload = encoded(as_json({**claims, **change}))
        header, _, signature = good.split(".")
        refused(api, f"{header}.{payload}.{signature}")
    # The header of one, the rest of the other.
    other_header = encoded(as_json({"alg": "HS256"}))
    refused(api, f"{other_header}.{good.partition('.')[2]}")
    weaker = signed(HEADER, {**claims, "scopes": []}, secret)
    refused(api, with_signature(good, weaker.rpartition(".")[2]))


# ---- claims: even signed by us they must be what ours are


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
    "an audience": {"aud": "another service"},
    "audiences": {"aud": []},
    "an issuer": {"iss": "another service"},
    "a scope, as others call it": {"scope": "read write"},
    "a role": {"admin": True},
}


@pytest.mark.parametrize("name", WRONG)
def test_claims_that_ours_never_have(api: Api, secret: str, claims: Claims, name: str) -> None:
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
def test_a_claim_twice_or_no_number(api: Api, secret: str, claims: Claims, more: str) -> None:
    refused(api, signed(HEADER, b"{" + more.encode() + as_json(claims)[1:], secret))
    if "NaN" in more or "Infinity" in more:
        name = json.loads("{" + more + '"x":1}').keys() - {"x"}
        rest = {claim: value for claim, value in claims.items() if claim not in name}
        refused(api, signed(HEADER, b"{" + more.encode() + as_json(rest)[1:], secret))


@pytest.mark.parametrize(
    "payload", [b"", b"{}", b"[]", b"null", b"1", b'"x"', b"{", b"\xff", b"{}{}", b"[" * 2500, b'{"sub":' * 300]
)
def test_claims_that_are_no_object(api: Api, secret: str, payload: bytes) -> None:
    refused(api, signed(HEADER, payload, secret))


@pytest.mark.parametrize("size", [4096, 5000, 20_000, 60_000])
def test_a_very_long_token(api: Api, secret: str, claims: Claims, size: int) -> None:
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
def test_what_is_no_token_at_all(api: Api, token: bytes) -> None:
    refused(api, token)
