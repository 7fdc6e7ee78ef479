"""The list of measurements: combinations of operation, batch size, kind of values and connections, and their length."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from typing import Literal

import msgspec

Operation = Literal[
    "write", "read", "write-ttl", "write-if", "read-with", "increment", "touch", "scan", "import", "export"
]
Values = Literal["string", "record"]

OPERATIONS: tuple[Operation, ...] = ("write", "read")
"""The operations that every system has."""

OWN_OPERATIONS: tuple[Operation, ...] = (
    *("write-ttl", "write-if", "read-with", "increment", "touch", "scan"),
    *("import", "export"),
)
"""The operations that no peer has: keys that expire, conditions, versions in answers, counters, other expiries, a page
of a scan, imports and exports of lines."""

PATHS: dict[Operation, str] = {
    operation: f"/api/{operation.partition('-')[0]}" for operation in (*OPERATIONS, *OWN_OPERATIONS)
}

VALUES: tuple[Values, ...] = ("string", "record")
BATCHES = (1, 10, 100, 1000)
MAIN_CONNECTIONS = 32
"""The promised ratios are for this number of connections."""

LARGE_BATCH = 1000


class Combination(msgspec.Struct, frozen=True, order=True):
    """One kind of load."""

    values: Values
    connections: int
    operation: Operation
    batch: int
    share: float = 0.0
    """Offered load, as a share of FastAPI's rate in the first round of the same combination; 0: as much as the system
    can serve."""

    def __str__(self) -> str:
        offered = f", {self.share:.0%} of fastapi's rate" if self.share else ""
        return f"{self.operation} {self.batch} x {self.values}, {self.connections} connections{offered}"


class Plan(msgspec.Struct, frozen=True):
    """A whole run."""

    combinations: tuple[Combination, ...]
    extras: tuple[Combination, ...]
    """Combinations that are measured in one round only, and without the floor."""
    rounds: int
    seconds: float
    warm_up_s: float
    string_keys: int
    record_keys: int

    def seconds_of(self, combination: Combination) -> float:
        """The length of a measurement: longer if requests take long, so that enough of them end in time."""
        if combination.batch < LARGE_BATCH:
            return self.seconds
        return self.seconds * (3 if combination.values == "record" else 2)

    def of_round(self, number: int) -> Iterator[Combination]:
        """The combinations of a round; the first round is 0."""
        yield from self.combinations
        if number == 0:
            yield from self.extras


def grid(
    values: Iterable[Values], connections: Iterable[int], operations: Iterable[Operation], batches: Iterable[int]
) -> tuple[Combination, ...]:
    """Every combination of these, the smallest batch first."""
    return tuple(Combination(*each) for each in product(values, connections, operations, batches))


def full() -> Plan:
    """What `make bench` measures."""
    return Plan(
        combinations=grid(("string",), (MAIN_CONNECTIONS,), OPERATIONS, BATCHES),
        extras=(
            *grid(("string",), (1,), OPERATIONS, (1, 100)),
            *grid(("string",), (128,), OPERATIONS, (1, 100)),
            *grid(("record",), (MAIN_CONNECTIONS,), OPERATIONS, (1, 100, 1000)),
            *grid(("string",), (MAIN_CONNECTIONS,), OWN_OPERATIONS, (1, 100)),
            *(Combination("string", MAIN_CONNECTIONS, operation, 10, share=0.5) for operation in OPERATIONS),
        ),
        rounds=3,
        seconds=1.0,
        warm_up_s=0.2,
        string_keys=1_000_000,
        record_keys=50_000,
    )


def quick() -> Plan:
    """What `make bench QUICK=1` measures: the promised ratios at three sizes, once."""
    return Plan(
        combinations=grid(("string",), (MAIN_CONNECTIONS,), OPERATIONS, (1, 100, 1000)),
        extras=(),
        rounds=1,
        seconds=1.0,
        warm_up_s=0.2,
        string_keys=100_000,
        record_keys=0,
    )


def chosen(
    base: Plan,
    *,
    values: Sequence[Values] = (),
    connections: Sequence[int] = (),
    operations: Sequence[Operation] = (),
    batches: Sequence[int] = (),
    share: float = 0.0,
) -> Plan:
    """The plan with the caller's combinations; a dimension that the caller leaves out has its usual values."""
    if not (values or connections or operations or batches or share):
        return base
    combinations = grid(
        values or ("string",), connections or (MAIN_CONNECTIONS,), operations or OPERATIONS, batches or BATCHES
    )
    if share:
        combinations += tuple(msgspec.structs.replace(each, share=share) for each in combinations)
    needs_records = any(combination.values == "record" for combination in combinations)
    return msgspec.structs.replace(
        base, combinations=combinations, extras=(), record_keys=base.record_keys or (20_000 if needs_records else 0)
    )
