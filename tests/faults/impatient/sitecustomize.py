"""Makes every back-off of a Python process short: Python imports this first if PYTHONPATH contains its directory.

After as many attempts as `FAULT_TRIES` says, the process makes a file whose name is `FAULT_TRIED` and its process id.
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
