"""The authenticator checks again whether the user of a long answer is still allowed in."""

import time

import pytest

from api.auth.authenticator import Authenticator
from api.auth.tokens import LEEWAY_S
from api.http.problems import Problem
from tests.unit.test_authenticator import CountingStore, header, refused, run


def test_a_long_answer_may_outlast_its_token_but_not_its_users_rights() -> None:
    async def test(store: CountingStore, authenticator: Authenticator) -> None:
        token = header(exp=int(time.time()) - LEEWAY_S - 1)
        await refused(authenticator, token, 401, "expired")
        # First with an account that must be looked up, then with a cached one.
        for _ in range(2):
            await authenticator.authenticate_again(token, "read")
        assert len(store.asked) == 1
        with pytest.raises(Problem, match="scope") as lacking:
            await authenticator.authenticate_again(token, "write")
        assert lacking.value.status == 403
        store.revoked = True
        authenticator._remembered.clear()
        for let_in in (token, b"", b"no token", None):
            with pytest.raises(Problem) as caught:
                await authenticator.authenticate_again(let_in, "read")
            assert caught.value.status == 401

    run(test)
