"""No step of the costliest requests takes long: the requests of `make worst`, with bodies of a quarter of the size."""

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any

import pytest

from api.batch.counters import add_increments
from api.batch.decode import decode_keys
from api.batch.outcomes import Result
from api.batch.read_answer import large_read_answer
from api.batch.split import Groups, Part
from api.batch.steps import AT_ONCE, Steps
from api.batch.write_body import add_large_write
from api.http.negotiation import Format
from api.http.problems import Kind, Problem
from loadtest.worst import requests
from loadtest.worst.requests import JSON, MSGPACK, Request, array, colliding_map
from protocol.buckets import ShardMap
from protocol.frames import Outcome
from protocol.settings import BatchSettings
from tests.answers import answer

LIMITS = BatchSettings()
SHARDS = ShardMap(("s1", "s2"), 100, (0, *(number % 2 for number in range(100))))
LONGEST_S = 0.5
"""Of processor time. On a machine with nothing else to do no step takes a fifth of it; before there were steps, some
requests took a hundred times as much."""

REFUSALS = (Kind.INVALID_VALUE, Kind.TOO_MANY_KEYS, Kind.NOT_ACCEPTABLE)
FORMATS = {JSON: Format.JSON, MSGPACK: Format.MSGPACK}
ALL = {request.name: request for request in requests.requests()}
WRITES = [name for name, request in ALL.items() if request.path == "write"]


@pytest.fixture(autouse=True)
def smaller(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(requests, "BODY_BYTES", requests.BODY_BYTES // 4)
    monkeypatch.setattr(requests, "VALUES", requests.VALUES // 4)
    monkeypatch.setattr(requests, "KEYS", requests.KEYS // 4)
    # The same conditions as when the api takes such steps.
    gc.disable()
    yield
    gc.enable()


def assert_steps_are_short(steps: Steps[Any], at_least: int, refusals: Sequence[Kind] = REFUSALS) -> None:
    """Take all steps; there must be several."""
    durations: list[float] = []
    refused = None
    while refused is None:
        began = time.thread_time()
        try:
            next(steps)
        except StopIteration:
            break
        except Problem as problem:
            refused = problem.kind
        finally:
            durations.append(time.thread_time() - began)
    assert max(durations) < LONGEST_S
    # A body that is refused may be refused in one step.
    assert len(durations) > at_least or refused in refusals


@pytest.mark.parametrize("name", WRITES)
def test_a_write_is_decoded_in_short_steps(name: str) -> None:
    request: Request = ALL[name]
    body = request.body()
    assert len(body) > AT_ONCE
    steps = add_large_write(Groups(SHARDS), body, FORMATS[request.content_type], LIMITS)
    assert_steps_are_short(steps, at_least=requests.VALUES)


@pytest.mark.parametrize("name", [name for name in ALL if name.startswith("read:")])
def test_keys_are_decoded_in_a_short_time(name: str) -> None:
    body = ALL[name].body()
    began = time.thread_time()
    with suppress(Problem):
        decode_keys(body, Format.JSON, LIMITS)
    assert time.thread_time() - began < LONGEST_S


VALUES: dict[str, Callable[[], bytes]] = {
    "empty arrays": lambda: array(b"\x90"),
    "empty maps": lambda: array(b"\x80"),
    "texts of NUL": lambda: array(b"\xd9\xff" + bytes(255)),
    "maps with numbers as keys": lambda: array(b"\x81\x01\x02"),
    "map keys that hash alike": colliding_map,
}


@pytest.mark.parametrize("accept", Format)
@pytest.mark.parametrize("name", VALUES)
def test_an_answer_is_made_in_short_steps(name: str, accept: Format) -> None:
    keys = [f"k{number}" for number in range(8)]
    payload = answer([VALUES[name]()] * len(keys))
    results = [Result(Part("s1", keys, b""), Outcome(b"", 0, payload))]
    assert_steps_are_short(large_read_answer(results, accept), at_least=len(keys))


def _options(own: bytes, count: int) -> bytes:
    """The body of a write of as many keys as are allowed, with options."""
    keys = [b'"%b%d"' % (b"k" * 200, number) for number in range(LIMITS.max_batch_keys)]
    data = b",".join(key + b":1" for key in keys)
    options = b",".join(keys[number % len(keys)] + b":" + own for number in range(count))
    return b'{"data":{' + data + b'},"options":{' + options + b"}}"


OPTIONS: dict[str, Callable[[], bytes]] = {
    "all for each key": lambda: _options(b'{"ttl":1.5,"if":{"version":"6a1"}}', LIMITS.max_batch_keys),
    "the same keys again and again": lambda: _options(b"{}", 20_000),
    "keys without number": lambda: b'{"data":{"k":1},"options":{' + b'"k":{},' * 500_000 + b'"k":{}}}',
    "the last one wrong": lambda: _options(b'{"ttl":1.5}', LIMITS.max_batch_keys - 1)[:-2] + b',"k":{"ttl":[]}}}',
    "a large array in place of a number": lambda: (
        b'{"data":{"k":1},"options":{"k":{"ttl":[' + b"1," * 2_000_000 + b"1]}}}"
    ),
    "a member again and again": lambda: b'{"data":{"k":1},"options":{"k":{' + b'"ttl":1,' * 500_000 + b'"ttl":1}}}',
    "a huge text in place of a number": lambda: b'{"data":{"k":1},"ttl":"' + b"x" * 4_000_000 + b'"}',
}


@pytest.mark.parametrize("name", OPTIONS)
def test_options_are_decoded_in_short_steps(name: str) -> None:
    steps = add_large_write(Groups(SHARDS), OPTIONS[name](), Format.JSON, LIMITS)
    assert_steps_are_short(steps, at_least=3, refusals=(Kind.INVALID_REQUEST, Kind.TOO_MANY_KEYS))


def test_increments_are_decoded_in_short_steps() -> None:
    own = b'{"ttl":1.5,"min":0,"max":9,"initial":1,"ttl_on":"always"}'
    body = _options(own, LIMITS.max_batch_keys)
    assert_steps_are_short(add_increments(Groups(SHARDS), body, Format.JSON, LIMITS), at_least=10)
