"""Makes every back-off of a Python process a short one: Python imports this first where PYTHONPATH leads to it.

A process that has tried as often as `FAULT_TRIES` says makes a file, `FAULT_TRIED` and the process's id.
"""

import os
from pathlib import Path

from protocol import backoff

_LONGEST_S = 0.001
_usual = backoff.Backoff.next_s
_tries = 0


def _next_s(self: backoff.Backoff) -> float:
    global _tries  # noqa: PLW0603  one number for the process
    _tries += 1
    if _tries == int(os.environ["FAULT_TRIES"]):
        Path(f"{os.environ['FAULT_TRIED']}-{os.getpid()}").touch()
    return min(_usual(self), _LONGEST_S)


backoff.Backoff.next_s = _next_s  # type: ignore[method-assign]
