"""The numbers of operations and statuses are the same in Python and in Lua."""

import re
from pathlib import Path

from protocol.operations import CHANGES, READS, Operation, Status

LUA = Path(__file__).resolve().parents[2] / "tarantool-cluster" / "tarantkv"
WORKER_ONLY = {"UNREACHABLE"}


def numbers(file: str) -> dict[str, int]:
    found = re.findall(r"^\s+([A-Z_]+) = (\d+),$", (LUA / file).read_text(), re.MULTILINE)
    return {name: int(number) for name, number in found}


def test_every_operation_is_declared_a_read_or_a_change() -> None:
    """A new operation must be declared a read or a change: only a change can have an unknown outcome."""
    reads = READS | {Operation.USER_GET, Operation.USER_LIST, Operation.DESCRIBE, Operation.STATUS}
    assert reads.isdisjoint(CHANGES)
    assert reads | CHANGES == set(Operation)


def test_operations_have_the_same_numbers_in_lua() -> None:
    assert numbers("operations.lua") == {operation.name: operation.value for operation in Operation}


def test_statuses_have_the_same_numbers_in_lua() -> None:
    assert numbers("outcome.lua") == {status.name: status.value for status in Status if status.name not in WORKER_ONLY}
