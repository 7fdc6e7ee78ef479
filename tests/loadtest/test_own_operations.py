"""The loads that no other system supports: their requests have the contract's form, and only tarant-kv gets them."""

from urllib.parse import parse_qs

import orjson
import pytest

from loadtest.bench.bodies import LINE_END, body
from loadtest.bench.plan import OPERATIONS, OWN_OPERATIONS, PATHS, Operation, full
from loadtest.bench.values import Data

DATA = Data("string", 10)


@pytest.mark.parametrize("operation", [*OPERATIONS, *OWN_OPERATIONS])
def test_a_request_has_a_path_and_names_its_keys(operation: Operation) -> None:
    request = body(DATA, operation, [3, 4])
    assert b"\n" not in request
    assert PATHS[operation] == f"/api/{operation.split('-')[0]}"
    if operation == "import":
        lines = [orjson.loads(line) for line in request.split(LINE_END)]
        assert lines == [{"key": DATA.key(number), "value": DATA.value(number)} for number in (3, 4)]
        return
    if operation == "export":
        assert parse_qs(request.decode()) == {"start": [DATA.key(3)], "end": [DATA.key(5)]}
        return
    content = orjson.loads(request)
    if operation == "scan":
        assert content == {"start": DATA.key(3), "limit": 2}
    else:
        assert len(content.get("data") or content["keys"]) == 2


def test_a_complete_run_has_every_operation() -> None:
    plan = full()
    measured = {combination.operation for combination in (*plan.combinations, *plan.extras)}
    assert measured == {*OPERATIONS, *OWN_OPERATIONS}
    assert not {combination.operation for combination in plan.combinations} & set(OWN_OPERATIONS)
