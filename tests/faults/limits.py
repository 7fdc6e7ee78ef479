"""How long clients may notice a fault, as the tests check it.

The promises are for a machine that has nothing else to do. A run of all tests shares its processors, so its limits are
wider: a test fails there only where a mechanism is missing, which costs a deadline or a whole restart. `make
faults-report` has the machine alone, and checks the promises as they are.
"""

import os

STRICT = "FAULT_LIMITS_STRICT"
"""Set by a runner that has the machine alone."""

SHARED_S = 3.0
"""Other tests on the same processors may add this much: the most seen was 0.8 s, and the deadline is 5 s."""


def felt_at_most(promised_s: float) -> float:
    """The limit in seconds of a stall or a recovery that is promised to take `promised_s`."""
    return promised_s if os.environ.get(STRICT) else promised_s + SHARED_S
