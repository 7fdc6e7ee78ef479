"""Tokens whose algorithm or signature is an attacker's. All get the same answer, which names no reason."""

import json
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from tests.contract.calls import Api
from tests.integration.conftest import Claims
from tests.security.forging import HEADER, encoded, signature_of, signed, with_signature
from tests.security.token_attacks import FOREIGN, refused, taken

RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
PUBLIC = {
    f"{kind} as {name}": key.public_key().public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo)
    for kind, key in (("RSA", RSA_KEY), ("EC", EC_KEY))
    for name, encoding in (("PEM", serialization.Encoding.PEM), ("DER", serialization.Encoding.DER))
}
SPELLINGS_OF_NONE = ("none", "None", "NONE", "nOnE", "none ", " none", "none\0", "", "null")  # fmt: skip
ZERO = b"\0"
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def test_the_attacked_token_is_valid_without_the_attacks(api: Api, secret: str, claims: Claims) -> None:
    assert taken(api, signed(HEADER, claims, secret))
    assert taken(api, signed({"alg": "HS256"}, claims, secret))
    assert taken(api, signed(HEADER, {**claims, "nbf": claims["iat"]}, secret))


# ---- algorithms


@pytest.mark.parametrize("name", SPELLINGS_OF_NONE)
@pytest.mark.parametrize("signature", ["", "AA", "AAAA", "signed"])
def test_the_algorithm_none_is_refused(api: Api, secret: str, claims: Claims, name: str, signature: str) -> None:
    token = signed({"alg": name, "typ": "JWT"}, claims, secret)
    refused(api, token if signature == "signed" else with_signature(token, signature))


@pytest.mark.parametrize(
    "header", [{"typ": "JWT"}, {"alg": None}, {"alg": 1}, {"alg": ["HS256"]}, {"alg": {}}, {}, [], "HS256", None, 1]
)
def test_a_missing_or_malformed_algorithm_is_refused(api: Api, secret: str, claims: Claims, header: Any) -> None:
    refused(api, signed(header, claims, secret))


@pytest.mark.parametrize(
    "name", ["hs256", "HS256 ", "HS1", "HS384", "HS512", "RS256", "PS256", "ES256", "ES256K", "EdDSA", "dir", "A256KW"]
)
def test_another_algorithm_with_a_valid_signature_is_refused(api: Api, secret: str, claims: Claims, name: str) -> None:
    refused(api, signed({**HEADER, "alg": name}, claims, secret))


@pytest.mark.parametrize("algorithm", ["HS384", "HS512"])
@pytest.mark.parametrize("named", ["HS256", "HS384", "HS512"])
def test_another_hash_with_the_right_secret_is_refused(
    api: Api, secret: str, claims: Claims, algorithm: str, named: str
) -> None:
    refused(api, signed({**HEADER, "alg": named}, claims, secret, algorithm))


@pytest.mark.parametrize("key", PUBLIC)
@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
def test_a_signature_with_a_public_key_as_secret_is_refused(api: Api, claims: Claims, key: str, algorithm: str) -> None:
    for name in (algorithm, "RS256", "ES256"):
        refused(api, signed({**HEADER, "alg": name}, claims, PUBLIC[key], algorithm))


def test_a_signature_with_a_key_from_the_token_is_refused(api: Api, claims: Claims) -> None:
    for key, name in ((RSA_KEY, "RS256"), (RSA_KEY, "RS512"), (RSA_KEY, "PS256"), (EC_KEY, "ES256")):
        refused(api, jwt.encode(claims, key, name))
    for word in (FOREIGN, "", " ", "secret", "null", "undefined", ZERO * 32, "tarant-kv"):
        refused(api, signed(HEADER, claims, word))


@pytest.mark.parametrize("name", ["ES256", "HS256", "ES384"])
def test_a_signature_of_zeros_is_refused(api: Api, claims: Claims, name: str) -> None:
    """Faulty verifiers of elliptic curves accepted r = s = 0 for any content, and some also the curve's order."""
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
def test_a_changed_signature_is_refused(
    api: Api, secret: str, claims: Claims, change: Callable[[bytes], bytes]
) -> None:
    token = signed(HEADER, claims, secret)
    refused(api, with_signature(token, encoded(change(signature_of(token)))))


def other_spellings(token: str) -> dict[str, str]:
    """Spellings of the same bytes for a decoder that skips unknown characters and ignores unused bits."""
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
def test_another_spelling_of_a_valid_token_is_refused(api: Api, secret: str, claims: Claims, spelling: str) -> None:
    refused(api, other_spellings(signed(HEADER, claims, secret))[spelling])


def test_the_alphabet_that_is_not_safe_in_urls_is_refused(api: Api, secret: str, claims: Claims) -> None:
    token = next(
        token
        for number in range(1000)
        if {"-", "_"} & set((token := signed(HEADER, {**claims, "jti": f"j{number}"}, secret)).rpartition(".")[2])
    )
    assert taken(api, token)
    refused(api, with_signature(token, token.rpartition(".")[2].replace("-", "+").replace("_", "/")))
