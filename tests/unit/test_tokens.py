"""Tokens: which are accepted, and every reason to refuse one."""

import base64
import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import pytest

from api.auth.tokens import LEEWAY_S, TokenError, Tokens

OLD, NEW, FOREIGN = "old-" * 20, "new-" * 20, "foreign-" * 10
TTL_S = 60
RETENTION = Path(__file__).resolve().parents[2] / "tarantool-cluster" / "tarantkv" / "retention.lua"


def claims(**changes: Any) -> dict[str, Any]:
    now = time.time()
    usual: dict[str, Any] = {"sub": "u", "iat": now, "exp": int(now) + TTL_S, "jti": "j", "scopes": ["read"], "gen": 7}
    return {name: value for name, value in {**usual, **changes}.items() if value is not None}


def signed(secret: str = NEW, algorithm: str = "HS256", **changes: Any) -> str:
    return jwt.encode(claims(**changes), secret, algorithm=algorithm)


def unsigned() -> str:
    def part(content: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")

    return f"{part({'alg': 'none', 'typ': 'JWT'})}.{part(claims())}."


@pytest.fixture
def tokens() -> Tokens:
    return Tokens([NEW, OLD], TTL_S)


def test_a_token_contains_its_user_and_scopes(tokens: Tokens) -> None:
    found = tokens.verify(tokens.issue("alice", ["read", "write"], 2**53 - 1))
    assert (found.sub, found.scopes, found.gen) == ("alice", ["read", "write"], 2**53 - 1)
    assert TTL_S - 1 <= found.exp - found.iat <= TTL_S


def test_every_token_has_an_id_of_its_own(tokens: Tokens) -> None:
    assert tokens.verify(tokens.issue("u", [], 1)).jti != tokens.verify(tokens.issue("u", [], 1)).jti


def test_the_first_secret_signs_new_tokens() -> None:
    token = Tokens([NEW, OLD], TTL_S).issue("u", [], 1)
    assert Tokens([NEW], TTL_S).verify(token).sub == "u"
    with pytest.raises(TokenError):
        Tokens([OLD], TTL_S).verify(token)


def test_tokens_of_every_configured_secret_are_accepted(tokens: Tokens) -> None:
    assert tokens.verify(signed(OLD)).sub == "u"


def test_a_token_from_a_clock_a_little_ahead_is_accepted(tokens: Tokens) -> None:
    assert tokens.verify(signed(iat=time.time() + LEEWAY_S - 1)).sub == "u"


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(unsigned, id="alg-none"),
        pytest.param(lambda: signed(algorithm="HS384"), id="another-algorithm"),
        pytest.param(lambda: signed(algorithm="HS512"), id="yet-another-algorithm"),
        pytest.param(lambda: signed(FOREIGN), id="another-secret"),
        pytest.param(lambda: signed()[:-2], id="cut-short"),
        pytest.param(lambda: signed()[:-5] + "AAAAA", id="another-signature"),
        pytest.param(lambda: "", id="empty"),
        pytest.param(lambda: "a.b.c", id="nonsense"),
        pytest.param(lambda: signed(sub=None), id="without-sub"),
        pytest.param(lambda: signed(iat=None), id="without-iat"),
        pytest.param(lambda: signed(exp=None), id="without-exp"),
        pytest.param(lambda: signed(jti=None), id="without-jti"),
        pytest.param(lambda: signed(scopes=None), id="without-scopes"),
        pytest.param(lambda: signed(scopes="admin"), id="scopes-no-list"),
        pytest.param(lambda: signed(sub="u" * 65), id="sub-too-long"),
        pytest.param(lambda: signed(exp="soon"), id="exp-no-number"),
        # As tokens were before passwords had generations.
        pytest.param(lambda: signed(gen=None), id="without-gen"),
        pytest.param(lambda: signed(gen="7"), id="gen-no-number"),
        pytest.param(lambda: signed(gen=True), id="gen-no-number-either"),
    ],
)
def test_any_other_text_is_refused_without_repeating_it(tokens: Tokens, make: Callable[[], str]) -> None:
    token = make()
    with pytest.raises(TokenError) as caught:
        tokens.verify(token)
    assert not token or token not in str(caught.value)


def test_a_token_is_valid_until_the_leeway_after_its_end(tokens: Tokens) -> None:
    assert tokens.verify(signed(exp=int(time.time()) - LEEWAY_S + 3)).ends_at > time.time()
    with pytest.raises(TokenError, match="expired"):
        tokens.verify(signed(exp=int(time.time()) - LEEWAY_S))


def test_a_shard_keeps_revocations_for_the_same_leeway() -> None:
    found = re.findall(r"^local TOKEN_LEEWAY_MS = (\d+) \* 1000$", RETENTION.read_text(), re.MULTILINE)
    assert found == [str(LEEWAY_S)]


def test_an_expired_token_is_refused_as_expired(tokens: Tokens) -> None:
    with pytest.raises(TokenError, match="expired"):
        tokens.verify(signed(exp=int(time.time()) - LEEWAY_S - 1))


def test_a_token_of_the_future_is_refused_as_not_yet_valid(tokens: Tokens) -> None:
    with pytest.raises(TokenError, match="not valid yet"):
        tokens.verify(signed(iat=time.time() + LEEWAY_S + 5))
    with pytest.raises(TokenError, match="not valid yet"):
        tokens.verify(signed(nbf=time.time() + LEEWAY_S + 5))
