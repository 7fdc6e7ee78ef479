"""Tokens that the api did not issue: random ones, and changed ones. The api accepts none of them."""

from string import ascii_letters, digits

import jwt
import pytest

from api.auth.tokens import TokenError, Tokens
from tests.contract.calls import Api, json_body
from tests.contract.problems import problem_of
from tests.fuzz.chance import Chance, made, text
from tests.fuzz.damage import damaged
from tests.fuzz.effort import fuzz

SECRETS = ("first-" * 20, "second-" * 20)
TOKENS = Tokens(SECRETS, 3600)
ISSUED = TOKENS.issue("alice", ["read", "write"], 1)
ALPHABET = ascii_letters + digits + "-_"
SPOILED = (*ALPHABET, *"=+/. \n\0\u00e9\u0661.", "", "%3D", "\ud800")
"""Replacements of a character. Lenient decoders skip some of them, or read them as another."""


def changed(chance: Chance) -> str:
    """The issued token with one to three characters changed, left out, added or moved."""
    token = ISSUED
    for _ in range(chance.randint(1, 3)):
        # The ends of its parts are changed more often: they have unused bits and padding.
        at = chance.choice((chance.randrange(len(token)), len(token) - 1, token.find(".") - 1, token.rfind(".") - 1))
        piece = chance.choice(SPOILED)
        token = token[:at] + piece + token[at + chance.randrange(3) :]
    return token


def respelled(chance: Chance) -> str:
    """The issued token with another last character: decoders ignore two of its bits."""
    return ISSUED[:-1] + chance.choice(ALPHABET)


def made_up(chance: Chance) -> str:
    """Three parts of any length, of valid or arbitrary characters."""
    if chance.random() < 0.3:
        return text(chance, 100, surrogates=True)
    return ".".join(
        "".join(chance.choices(ALPHABET, k=chance.randrange(60))) for _ in range(chance.choice((1, 2, 3, 3, 4)))
    )


def spliced(chance: Chance) -> str:
    """Parts of tokens that other systems signed, and of the api's tokens."""
    claims = jwt.decode(ISSUED, options={"verify_signature": False}) | {"scopes": ["admin"], "sub": text(chance)}
    foreign = [
        jwt.encode(claims, "foreign-" * 20, algorithm="HS256"),
        jwt.encode(claims, SECRETS[0], algorithm="HS512"),
        jwt.encode(claims, "", algorithm="none"),
        ISSUED,
    ]
    parts = [chance.choice(foreign).split(".")[place] for place in range(3)]
    return ".".join(parts)


def damaged_bytes(chance: Chance) -> str:
    return damaged(chance, ISSUED.encode()).decode("latin-1")


kinds = made(changed) | made(respelled) | made(made_up) | made(spliced) | made(damaged_bytes)


@fuzz(kinds, examples=500)
def test_only_the_issued_token_is_valid(token: str) -> None:
    if token == ISSUED:
        assert TOKENS.verify(token).sub == "alice"
        return
    with pytest.raises(TokenError) as caught:
        TOKENS.verify(token)
    assert len(token) < 8 or token not in str(caught.value)


NOT_IN_A_HEADER = bytes((*range(0x20), 0x7F))


@fuzz(kinds, examples=60)
def test_no_random_header_gives_access(stranger: Api, token: str) -> None:
    header = token.encode("utf-8", "replace").translate(None, NOT_IN_A_HEADER).strip()
    for value in (header, b"Bearer " + header, header[:20] + b" " + header[20:]):
        answer = stranger.http.post(
            "/api/read",
            content=json_body({"keys": ["a"]}),
            headers=[(b"content-type", b"application/json"), (b"authorization", value.strip())],
        )
        problem_of(answer, "unauthorized")
