"""Waiting for something to become so. It is here because the contract tests run alone in the api's image."""

import time
from collections.abc import Callable

_POLL_S = 0.02


def until(condition: Callable[[], bool], within_s: float, failure: str) -> float:
    """Ask until it is so; returns after how many seconds it was. Fails with `failure` when the time is over."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < within_s, failure
        time.sleep(_POLL_S)
    return time.monotonic() - began
