"""Makes tokens as an attacker would: any header, claims, signature and spelling."""

import base64
import hashlib
import hmac
import json
from typing import Any

HEADER = {"alg": "HS256", "typ": "JWT"}
HASHES = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}


def encoded(part: bytes) -> str:
    """Base64url without padding."""
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


def as_json(document: Any) -> bytes:
    """A part as JSON. Bytes are used unchanged: they need not be JSON, and may have a member twice."""
    return document if isinstance(document, bytes) else json.dumps(document).encode()


def signed(header: Any, claims: Any, key: bytes | str, algorithm: str = "HS256") -> str:
    """A token in the compact form, signed with `algorithm` whatever its header says."""
    text = f"{encoded(as_json(header))}.{encoded(as_json(claims))}"
    key = key.encode() if isinstance(key, str) else key
    return f"{text}.{encoded(hmac.digest(key, text.encode(), HASHES[algorithm]))}"


def with_signature(token: str, signature: str) -> str:
    """The same header and claims under another signature."""
    return f"{token.rpartition('.')[0]}.{signature}"


def signature_of(token: str) -> bytes:
    """The signature of a token."""
    text = token.rpartition(".")[2]
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
