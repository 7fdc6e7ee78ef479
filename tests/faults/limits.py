"""For how long clients may notice a fault in a test.

The promises apply to a machine without other work. A run of all tests shares the processors, so its limits are wider: a
test fails there only if a mechanism is missing, which takes a deadline or a whole restart. `make faults-report` uses
the machine alone, and checks the promises themselves.
"""

import os

STRICT = "FAULT_LIMITS_STRICT"
"""Set by a run that uses the machine alone."""

SHARED_S = 3.0
"""Other tests on the same processors may add this much: the most observed was 0.8 s, and the deadline is 5 s."""


def felt_at_most(promised_s: float) -> float:
    """The limit in seconds of a stall or a recovery that is promised to take `promised_s`."""
    return promised_s if os.environ.get(STRICT) else promised_s + SHARED_S
