"""How many examples the tests with bad input try.

In `make test` each test has some examples, the same in every run. `make fuzz` (`tests.fuzz.long`) sets
TARANTKV_FUZZ_EXAMPLES, the number to try for every 100 of those, TARANTKV_FUZZ_SEED, which repeats them, and
TARANTKV_FUZZ_COUNT, a file to which each process appends its number of examples.
"""

import functools
import itertools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, seed, settings
from hypothesis.strategies import SearchStrategy

EXAMPLES = int(os.environ.get("TARANTKV_FUZZ_EXAMPLES", "0"))
"""In a long run; 0 in the short one."""

SEED = int(os.environ.get("TARANTKV_FUZZ_SEED", "0"))

COUNT_FILE = os.environ.get("TARANTKV_FUZZ_COUNT", "")

_counted = itertools.count()


def tell_count() -> None:
    """Append the number of examples of this process, at its end."""
    if COUNT_FILE:
        with Path(COUNT_FILE).open("a") as file:
            file.write(f"{next(_counted)}\n")


def fuzz(*drawn: SearchStrategy[Any], examples: int = 100) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A test with drawn arguments: `examples` of them in the short run, and in proportion in a long one."""
    effort = settings(
        # Servers answer later on a busy machine, and the fixtures have no state between examples.
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
        database=None,
        derandomize=not EXAMPLES,
        max_examples=max(examples, EXAMPLES * examples // 100),
        print_blob=bool(EXAMPLES),
    )

    def decorate(test: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(test)
        def counted(*args: Any, **kwargs: Any) -> None:
            next(_counted)
            test(*args, **kwargs)

        decorated: Callable[..., None] = effort(given(*drawn)(counted))
        return seed(SEED)(decorated) if EXAMPLES else decorated

    return decorate
