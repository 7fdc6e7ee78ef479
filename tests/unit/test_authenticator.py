"""Which user a header names, when the store is asked, and what is cached. The store of these tests counts questions."""

import asyncio
import time
from collections.abc import Callable
from typing import Any, cast

import jwt
import pytest

from api.auth import authenticator as module
from api.auth.accounts import Accounts, AccountState, User
from api.auth.authenticator import Authenticator
from api.auth.tokens import LEEWAY_S, Claims, Tokens
from api.http.problems import Problem
from api.overload.errors import OverloadedError

SECRET = "a secret of these tests that is long enough"
TOKENS = Tokens([SECRET], 3600)
GENERATION = 7
REMEMBER_S = 5.0


class CountingStore:
    """Answers every question at once, or once `answer` is set."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str | None]] = []
        self.user: User | None = User("", ["read", "write"], disabled=False, version=1, generation=GENERATION)
        self.revoked = False
        self.asked_again = asyncio.Event()
        self.answer = asyncio.Event()
        self.answer.set()

    async def state(self, name: str, token_id: str | None = None) -> AccountState:
        self.asked.append((name, token_id))
        if len(self.asked) > 1:
            self.asked_again.set()
        state = AccountState(self.user, self.revoked)
        await self.answer.wait()
        return state


def header(name: str = "alice", **changes: Any) -> bytes:
    now = time.time()
    claims = {"sub": name, "iat": now, "exp": int(now) + 60, "jti": name, "scopes": ["read"], "gen": GENERATION}
    return jwt.encode({**claims, **changes}, SECRET, "HS256").encode()


def made(store: CountingStore, remember_s: float = REMEMBER_S) -> Authenticator:
    return Authenticator(TOKENS, cast("Accounts", store), remember_s)


def run(test: Callable[[CountingStore, Authenticator], Any], remember_s: float = REMEMBER_S) -> None:
    async def main() -> None:
        store = CountingStore()
        await test(store, made(store, remember_s))

    asyncio.run(main())


async def refused(authenticator: Authenticator, token: bytes, status: int, mentions: str) -> None:
    with pytest.raises(Problem, match=mentions) as caught:
        await authenticator.authenticate(token)
    assert caught.value.status == status


def names_nobody(authenticator: Authenticator, token: bytes) -> bool:
    with pytest.raises(Problem) as caught:
        authenticator.user_of(token)
    return caught.value.status == 401


def test_a_fresh_token_names_its_user_before_the_store_is_asked() -> None:
    async def test(store: CountingStore, authenticator: Authenticator) -> None:
        assert authenticator.user_of(header()) == "alice"
        assert authenticator.user_of(b"Bearer " + header()) == "alice"
        assert store.asked == []

    run(test)


@pytest.mark.parametrize(
    "make_token",
    [
        lambda: header()[:-4] + b"AAAA",
        lambda: header() + b"\xff",
        lambda: header()[:-1],
        lambda: b"",
        lambda: b"Bearer ",
        lambda: b"x" * 5000,
        # The tokens are made when the test runs: if they were made at collection, the last one could be valid by now.
        lambda: header(exp=int(time.time()) - LEEWAY_S - 1),
        lambda: header(iat=time.time() + LEEWAY_S + 60),
    ],
)
def test_a_forged_or_expired_token_is_refused_without_asking_the_store(make_token: Callable[[], bytes]) -> None:
    token = make_token()

    async def test(store: CountingStore, authenticator: Authenticator) -> None:
        assert names_nobody(authenticator, token)
        await refused(authenticator, token, 401, "the token ")
        assert store.asked == []

    run(test)


def test_a_token_that_is_revoked_in_the_store_is_refused() -> None:
    async def test(store: CountingStore, authenticator: Authenticator) -> None:
        token = header()
        store.revoked = True
        assert authenticator.user_of(token) == "alice"
        await refused(authenticator, token, 401, "revoked")
        assert names_nobody(authenticator, token)

    run(test)


def test_a_token_is_decoded_once_for_the_gate_and_the_request_together(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(_: CountingStore, authenticator: Authenticator) -> None:
        read: list[str] = []

        def read_and_count(token: str) -> Claims:
            read.append(token)
            return Tokens.read(TOKENS, token)

        monkeypatch.setattr(TOKENS, "read", read_and_count)
        token = header()
        for _try in range(3):
            authenticator.user_of(token)
            await authenticator.authenticate(token)
        assert len(read) == 1

    run(test)


def test_a_token_from_before_a_change_of_the_password_is_refused() -> None:
    async def test(_: CountingStore, authenticator: Authenticator) -> None:
        # Its time of issue does not matter: no clock is compared.
        await refused(authenticator, header(gen=GENERATION - 1, iat=time.time() + LEEWAY_S - 1), 401, "revoked")
        await refused(authenticator, header(gen=GENERATION + 1), 401, "revoked")
        assert (await authenticator.authenticate(header())).name == "alice"

    run(test)


def test_a_principal_has_the_scopes_of_both_its_token_and_its_user() -> None:
    async def test(store: CountingStore, authenticator: Authenticator) -> None:
        store.user = User("", ["write", "admin"], disabled=False, version=2, generation=GENERATION)
        principal = await authenticator.authenticate(header(scopes=["read", "write"]))
        assert principal.scopes == {"write"}
        with pytest.raises(Problem, match="scope"):
            await authenticator.authenticate(header(scopes=["read", "write"]), "read")

    run(test)


def test_the_store_is_asked_once_while_the_answer_is_cached() -> None:
    async def test(store: CountingStore, authenticator: Authenticator) -> None:
        token = header()
        for _ in range(5):
            await authenticator.authenticate(token)
        assert store.asked == [("alice", "alice")]

    run(test)


def test_requests_that_arrive_together_share_one_question_to_the_store() -> None:
    async def test(store: CountingStore, authenticator: Authenticator) -> None:
        token = header()
        await asyncio.gather(*(authenticator.authenticate(token) for _ in range(5)))
        assert len(store.asked) == 1

    run(test)


def test_a_cached_token_within_the_leeway_needs_no_second_question() -> None:
    """The same rule says when a token ends, whether it is cached or not."""

    async def test(store: CountingStore, authenticator: Authenticator) -> None:
        token = header(exp=int(time.time()) - LEEWAY_S + 3)
        for _ in range(3):
            assert (await authenticator.authenticate(token)).name == "alice"
        assert len(store.asked) == 1

    run(test)


def test_a_cached_token_ends_with_its_leeway(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(_: CountingStore, authenticator: Authenticator) -> None:
        token = header(exp=int(time.time()) + 1)
        await authenticator.authenticate(token)
        end = int(time.time()) + 1 + LEEWAY_S
        monkeypatch.setattr(time, "time", lambda: end - 0.1)
        assert (await authenticator.authenticate(token)).name == "alice"
        monkeypatch.setattr(time, "time", lambda: end + 0.1)
        await refused(authenticator, token, 401, "expired")
        assert names_nobody(authenticator, token)

    run(test)


def test_a_logout_counts_at_once_even_if_a_look_up_is_under_way() -> None:
    async def test(store: CountingStore, authenticator: Authenticator) -> None:
        token = header()
        principal = await authenticator.authenticate(token)
        store.answer.clear()
        looked_up = asyncio.ensure_future(authenticator.authenticate(token))
        await store.asked_again.wait()
        authenticator.log_out(principal)
        store.answer.set()
        with pytest.raises(Problem, match="revoked"):
            await looked_up

    # Nothing is fresh, so each request asks the store.
    run(test, remember_s=-1.0)


def test_a_logout_counts_at_once_even_if_a_look_up_ended_before_it() -> None:
    async def test(_: CountingStore, authenticator: Authenticator) -> None:
        token = header()
        principal = await authenticator.authenticate(token)
        assert await authenticator.authenticate(token) is not principal
        authenticator.log_out(principal)
        assert names_nobody(authenticator, token)

    run(test, remember_s=-1.0)


def test_the_token_that_was_not_used_for_longest_is_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(store: CountingStore, authenticator: Authenticator) -> None:
        monkeypatch.setattr(module, "MAX_REMEMBERED", 3)
        busy = header("busy")
        await authenticator.authenticate(busy)
        for number in range(6):
            await authenticator.authenticate(header(f"idle-{number}"))
            # In use: its account is looked up again, as every few seconds.
            await authenticator.authenticate(busy)
        assert busy in authenticator._remembered
        assert len(authenticator._remembered) == 3
        assert len(store.asked) == 13

    run(test, remember_s=-1.0)


def test_the_number_of_decoded_tokens_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(_: CountingStore, authenticator: Authenticator) -> None:
        monkeypatch.setattr(module, "MAX_READ", 10)
        for number in range(50):
            assert authenticator.user_of(header(f"u{number}")) == f"u{number}"
        assert len(authenticator._read) == 10

    run(test)


def test_questions_to_the_store_are_bounded_and_further_requests_get_503(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(store: CountingStore, authenticator: Authenticator) -> None:
        monkeypatch.setattr(module, "MAX_ASKING", 2)
        store.answer.clear()
        waiting = [asyncio.ensure_future(authenticator.authenticate(header(f"u{number}"))) for number in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(OverloadedError, match="too many accounts"):
            await authenticator.authenticate(header("one too many"))
        store.answer.set()
        assert [(await task).name for task in waiting] == ["u0", "u1"]
        assert (await authenticator.authenticate(header("one too many"))).name == "one too many"

    run(test)


def test_a_principal_is_known_without_a_wait_only_while_its_account_is_cached() -> None:
    async def test(store: CountingStore, authenticator: Authenticator) -> None:
        token = header()
        assert authenticator.known(token, "read") is None
        assert store.asked == []
        principal = await authenticator.authenticate(token)
        assert authenticator.known(token, "read") is principal
        with pytest.raises(Problem) as lacking:
            authenticator.known(token, "admin")
        with pytest.raises(Problem) as missing:
            authenticator.known(None, "read")
        assert (lacking.value.status, missing.value.status) == (403, 401)
        principal.checked_at -= REMEMBER_S + 1
        assert authenticator.known(token, "read") is None

    run(test)
