"""Limits the requests of each client in a window, for all web servers together: docs/tutorials/rate-limiter.md."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import NamedTuple

from tarantkv import Client
from tarantkv.errors import ConditionFailedError, TarantKVError


class Answer(NamedTuple):
    """Whether a request is allowed; if not, after how many seconds the next one may be."""

    allowed: bool
    retry_after_s: float = 0.0


class RateLimiter:
    """Allows each client `limit` requests in a window of `window_s` seconds, which begins with its first request.

    No call of the store takes longer than `deadline_s`. A request without an answer by then is allowed: that is a
    choice, and a login would refuse it.
    """

    def __init__(self, kv: Client, limit: int, window_s: float, deadline_s: float = 0.5) -> None:
        self._kv = kv
        self._limit = limit
        self._window_s = window_s
        self._deadline_s = deadline_s

    def ask(self, who: str) -> Answer:
        """Count one request."""
        key = f"rate:{who}"
        try:
            # The increment sets the expiry only when it creates the key, so the window is fixed.
            self._kv.incr(key, max=self._limit, ttl=self._window_s, deadline=self._deadline_s)
        except ConditionFailedError:
            return Answer(allowed=False, retry_after_s=self._rest_s(key))
        except TarantKVError:
            return Answer(allowed=True)
        return Answer(allowed=True)

    def ask_many(self, requests: Mapping[str, int]) -> dict[str, bool]:
        """Count several requests of several clients in one call. Of each client, all are allowed or none."""
        counts = {f"rate:{who}": number for who, number in requests.items()}
        try:
            self._kv.increment(counts, max=self._limit, ttl=self._window_s, deadline=self._deadline_s)
        except ConditionFailedError as error:
            return {who: f"rate:{who}" not in error.failed for who in requests}
        except TarantKVError as error:
            # Some shards may have answered: their refusals count.
            return {who: error.failed.get(f"rate:{who}") != "condition_failed" for who in requests}
        return dict.fromkeys(requests, True)

    def _rest_s(self, key: str) -> float:
        try:
            meta = self._kv.read([key], with_=["expires_at"], deadline=self._deadline_s).meta.get(key)
        except TarantKVError:
            return self._window_s
        # The window may have ended between the two calls.
        return max(0.0, meta.expires_at - time.time()) if meta and meta.expires_at else 0.0


def main() -> None:
    """Show what each method does."""
    with Client(
        os.environ["TARANTKV_URL"],
        username=os.environ["TARANTKV_USER"],
        password=os.environ["TARANTKV_PASSWORD"],
    ) as kv:
        # Log in first: a login takes longer than `deadline_s` allows.
        kv.login()
        limiter = RateLimiter(kv, limit=3, window_s=2.0, deadline_s=5)
        kv.delete("rate:ada", "rate:grace")

        answers = [limiter.ask("ada") for _ in range(5)]
        print("allowed:", [answer.allowed for answer in answers])
        print("the next one in less than two seconds:", 0 < answers[-1].retry_after_s < 2)
        print("several at once:", limiter.ask_many({"ada": 1, "grace": 2}))

        time.sleep(answers[-1].retry_after_s + 0.1)
        print("in the next window:", limiter.ask("ada").allowed)


if __name__ == "__main__":
    main()
