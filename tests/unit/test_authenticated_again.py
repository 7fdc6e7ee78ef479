"""Whether the user of a long answer is still let in, as the authenticator tells."""

import time

import pytest

from api.auth.authenticator import Authenticator
from api.auth.tokens import LEEWAY_S
from api.http.problems import Problem
from tests.unit.test_authenticator import CountingStore, header, refused, run


def test_a_long_answer_outlasts_the_time_of_its_token_and_nothing_else() -> None:
    async def test(store: CountingStore, authenticator: Authenticator) -> None:
        token = header(exp=int(time.time()) - LEEWAY_S - 1)
        await refused(authenticator, token, 401, "expired")
        # Whether its account is cached or not.
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
