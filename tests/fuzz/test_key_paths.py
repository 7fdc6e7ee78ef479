"""The key in a path: the API uses exactly its decoded bytes, or refuses it."""

from urllib.parse import quote

import pytest

from api.http.problems import Problem
from api.keys.path import key_of
from tests.fuzz.chance import Chance, made, text
from tests.fuzz.effort import fuzz

MOST = 40
HEX = "0123456789abcdefABCDEF"
ODD = ("%", "%2", "%zz", "/", "%2f", "%2F", "%25", "..", ".", "%2e", "+", "%00", "%ff", "%c3", "%a9", "é", "a", "%41")


def decoded(spelt: str) -> bytes | None:
    """The bytes of a key, one character after the other; None if an escape is malformed."""
    raw, at = b"", 0
    while at < len(spelt):
        if spelt[at] != "%":
            raw += spelt[at].encode()
            at += 1
            continue
        digits = spelt[at + 1 : at + 3]
        if len(digits) != 2 or not set(digits) <= set(HEX):
            return None
        raw += bytes((int(digits, 16),))
        at += 3
    return raw


def reference(spelt: str) -> str | None:
    """The key that a path names; None: it is refused."""
    raw = None if "/" in spelt else decoded(spelt)
    if raw is None or not 0 < len(raw) <= MOST or raw in (b".", b".."):
        return None
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return None


def found(spelt: str) -> str | None:
    try:
        return key_of("/api/keys/" + spelt, MOST)
    except Problem as problem:
        return None if problem.status == 400 else problem.detail


def escaped(chance: Chance, key: str) -> str:
    """A key of which any character may be escaped, with digits of either case."""
    return "".join(
        quote(letter, safe="+,;=:@&$!*'()") if chance.random() < 0.5 and letter not in "/%" else everywhere(letter)
        for letter in key
    )


def everywhere(letter: str) -> str:
    return "".join(f"%{byte:02x}" for byte in letter.encode())


@fuzz(made(lambda chance: chance), examples=300)
def test_every_encoding_of_a_key_names_that_key(chance: Chance) -> None:
    key = text(chance)
    expected = key if 0 < len(key.encode()) <= MOST and key not in (".", "..") else None
    assert found(escaped(chance, key)) == expected


@fuzz(made(lambda chance: "".join(chance.choice(ODD) for _ in range(chance.randrange(9)))), examples=500)
def test_an_odd_path_names_its_decoded_key_or_is_refused(spelt: str) -> None:
    assert found(spelt) == reference(spelt)


@pytest.mark.parametrize("spelt", ["%2", "%c3", "a/b", "..", "", "x" * (MOST + 1), "%41", "%c3%a9"])
def test_the_reference_decodes_known_paths_correctly(spelt: str) -> None:
    assert (reference(spelt) is None) is (spelt not in ("%41", "%c3%a9"))
