"""One request, sent whole, as head and body, and byte by byte: the same answers, and the same keys are stored.

The requests are odd or malformed (`odd_heads`, `odd_bodies`). Whatever they are, no answer is a 500, and text in a body
that looks like a request is never mistaken for one.
"""

import json
from collections.abc import Iterator

import httpx
import pytest
from hypothesis import strategies as st

from localcluster.cluster import Cluster
from tests.fuzz.effort import EXAMPLES, fuzz
from tests.fuzz.odd_bodies import BODIES
from tests.fuzz.odd_heads import HEADS
from tests.fuzz.odd_request import Keys, Request
from tests.fuzz.odd_sending import Answer, End, Way, exchange
from tests.integration.processes import ApiProcess

ODDITIES = {**HEADS, **BODIES}
FAULTS = frozenset({500, 504})
"""Statuses that no request may cause while the shards work."""

drawn_oddities = st.lists(
    st.tuples(st.sampled_from(sorted(ODDITIES)), st.integers(0, 63)), max_size=3, unique_by=lambda drawn: drawn[0]
)
"""The oddities of a request, each with the number that chooses its form. A fourth would only mask the others."""


@pytest.fixture(scope="module")
def hasty_api(cluster: Cluster) -> Iterator[ApiProcess]:
    """An api that waits a short time for the rest of a request, and limits no failed logins."""
    settings = {
        "TARANTKV_HEAD_TIMEOUT_S": "2",
        "TARANTKV_BODY_TIMEOUT_S": "2",
        "TARANTKV_TRUSTED_PROXIES": "127.0.0.1",
        "TARANTKV_LOGIN_TRIES_PER_ADDRESS": "1000000",
        "TARANTKV_LOGIN_TRIES_PER_USER": "1000000",
    }
    with ApiProcess(cluster, settings) as process:
        yield process


@pytest.fixture(scope="module")
def client(hasty_api: ApiProcess) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=hasty_api.base_url, trust_env=False, timeout=20) as client:
        yield client


def made(drawn: list[tuple[str, int]], token: bytes, keys: Keys) -> Request:
    request = Request(token, keys)
    for name, number in drawn:
        ODDITIES[name](request, number)
    return request


def stored(client: httpx.Client, token: str, keys: Keys) -> dict[str, bool]:
    """Which of the keys exist."""
    names = {"request": keys.request, "hidden": keys.hidden, "behind": keys.behind}
    body = json.dumps({"keys": [key.decode() for key in names.values()]})
    answer = client.post("/api/read", content=body, headers={"authorization": token})
    assert answer.status_code == 200, answer.text
    return {name: key.decode() in answer.json()["data"] for name, key in names.items()}


def outcome(
    client: httpx.Client, token: str, drawn: list[tuple[str, int]], way: Way, end: End
) -> tuple[list[Answer], dict[str, bool]]:
    """The answers to a request, and the keys that it has stored."""
    keys = Keys.fresh()
    head, body = made(drawn, token.encode(), keys).pieces()
    answers = exchange(str(client.base_url), head, body, way, end, token.encode())
    return answers, stored(client, token, keys)


@pytest.mark.timeout(7200 if EXAMPLES else 240)
@fuzz(drawn_oddities, st.sampled_from(End), examples=100)
def test_a_request_has_the_same_result_in_whatever_pieces_it_is_sent(
    client: httpx.Client, token: str, drawn: list[tuple[str, int]], end: End
) -> None:
    outcomes = {way: outcome(client, token, drawn, way, end) for way in Way}
    whole_answers, whole_stored = outcomes[Way.WHOLE]
    assert outcomes == dict.fromkeys(Way, (whole_answers, whole_stored))
    assert not FAULTS & {answer.status for answer in whole_answers}
    assert not whole_stored["hidden"]
