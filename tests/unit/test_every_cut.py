"""A request has the same answers, effect and end, however its bytes are cut on the way."""

import random

import pytest

from tests.unit.http_corpus import CORPUS
from tests.unit.http_mutations import mutated
from tests.unit.memory_server import Server, run

MUTATIONS = 1500
CUTS = 6


def cuts(data: bytes, rng: random.Random) -> list[list[bytes]]:
    """Ways to cut a request: into single bytes, at two places, and between head and body."""
    head, end, body = data.partition(b"\r\n\r\n")
    step = 1 if len(data) < 4000 else 97
    ways = [[data[at : at + step] for at in range(0, len(data), step)], [head + end, body]]
    for _ in range(CUTS):
        first, second = sorted(rng.randrange(len(data) + 1) for _ in range(2))
        ways.append([data[:first], data[first:second], data[second:]])
    return ways


@pytest.mark.parametrize("end", [False, True], ids=["the client waits", "the client ends its side"])
@pytest.mark.parametrize("name", CORPUS)
def test_an_odd_request_has_the_same_result_however_it_is_cut(name: str, *, end: bool) -> None:
    async def scenario() -> None:
        server = Server()
        rng = random.Random(name)
        whole = await server.outcome([CORPUS[name]], end=end)
        for way in cuts(CORPUS[name], rng):
            outcome = await server.outcome(way, end=end)
            assert outcome == whole, way
        assert server.budget.held == 0

    run(scenario)


@pytest.mark.parametrize("seed", range(6))
def test_a_damaged_request_has_the_same_result_however_it_is_cut(seed: int) -> None:
    async def scenario() -> None:
        rng = random.Random(seed)
        server = Server()
        for _ in range(MUTATIONS // 6):
            data = mutated(rng)
            end = rng.random() < 0.3
            whole = await server.outcome([data], end=end)
            for way in cuts(data, rng):
                outcome = await server.outcome(way, end=end)
                assert outcome == whole, (data, way)
            assert all(status != 500 for status, _, _ in whole.answers), data
        assert server.budget.held == 0

    run(scenario)
