"""Polls until a condition holds. It is here because the contract tests run alone in the api's image."""

import time
from collections.abc import Callable

_POLL_S = 0.02


def until(condition: Callable[[], bool], within_s: float, failure: str) -> float:
    """Poll until the condition holds; returns how many seconds that took. Fails with `failure` when the time is
    over.
    """
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < within_s, failure
        time.sleep(_POLL_S)
    return time.monotonic() - began
