"""Requests that reach several documented limits at once: on an idle system each of them succeeds."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import msgspec
import pytest

from localcluster.cluster import Cluster
from protocol.settings import BatchSettings
from tests.conftest import NewCluster
from tests.contract.calls import JSON, MSGPACK, Api, obtain_token
from tests.integration.processes import ApiProcess

pytestmark = pytest.mark.timeout(300)

LIMITS = BatchSettings()
KEYS = LIMITS.max_batch_keys
VALUE_BYTES = LIMITS.max_value_bytes
LARGEST_HEAD = 5
PATIENCE_S = 60.0
TEXTS, NULS = b"\xd9\xff" + b"x" * 255, b"\xd9\xff" + bytes(255)
pack = msgspec.msgpack.encode


class Batch:
    """A write that reaches some limits: its body, and the keys in it."""

    def __init__(self, media_type: str, data: Mapping[str, Any], size: int = 0) -> None:
        self.media_type = media_type
        self.keys = list(data)
        body = (
            json.dumps({"data": data}, separators=(",", ":")).encode() if media_type == JSON else pack({"data": data})
        )
        assert len(body) <= LIMITS.max_body_bytes
        self.body = body.ljust(size)


def long_keys() -> list[str]:
    """As many keys as a batch may have, each as long as allowed."""
    return [f"limits:{number}:".ljust(LIMITS.max_key_bytes, "k") for number in range(KEYS)]


def most_text() -> str:
    return "x" * (VALUE_BYTES - LARGEST_HEAD)


def arrays(element: bytes, count: int) -> dict[str, msgspec.Raw]:
    """Values of the most bytes, each an array of the same elements."""
    length = (VALUE_BYTES - LARGEST_HEAD) // len(element)
    value = b"\xdd" + length.to_bytes(4, "big") + element * length
    return {f"limits:array:{number}": msgspec.Raw(value) for number in range(count)}


BATCHES: dict[str, Callable[[], Batch]] = {
    "most keys of most bytes, JSON": lambda: Batch(JSON, dict.fromkeys(long_keys(), 1)),
    "most keys of most bytes, MessagePack": lambda: Batch(MSGPACK, dict.fromkeys(long_keys(), 1)),
    "most keys and the largest body, JSON": lambda: Batch(
        JSON, dict.fromkeys(long_keys(), "x" * 600), LIMITS.max_body_bytes
    ),
    "vectors, which grow": lambda: Batch(JSON, {f"limits:{number}": [0.5] * 400 for number in range(KEYS)}),
    "vectors in MessagePack": lambda: Batch(MSGPACK, {f"limits:{number}": [0.5] * 180 for number in range(KEYS)}),
    "one value of the most bytes": lambda: Batch(JSON, {"limits:one": most_text()}, LIMITS.max_body_bytes),
    "values of the most bytes, JSON": lambda: Batch(JSON, {f"limits:{n}": most_text() for n in range(31)}),
    "values of the most bytes, MessagePack": lambda: Batch(MSGPACK, {f"limits:{n}": most_text() for n in range(31)}),
    "values of just more than half a chunk": lambda: Batch(JSON, {f"limits:{n}": [0.5] * 15000 for n in range(250)}),
    "empty arrays, MessagePack": lambda: Batch(MSGPACK, arrays(b"\x90", 8)),
    "map keys that are no texts": lambda: Batch(MSGPACK, arrays(b"\x81\x01\x02", 8)),
    "numbers that are slow to read": lambda: Batch(JSON, {f"limits:{n}": [1.7e-300] * 50_000 for n in range(37)}),
}


@pytest.fixture
def patient(cluster: Cluster, token: str) -> Iterator[Api]:
    """A client with a long timeout: these requests are large, and the machine may be slow."""
    with Api(cluster.base_url, token) as client:
        client.http.timeout = PATIENCE_S
        yield client


def assert_written(api: Api, batch: Batch) -> None:
    answer = api.post("write", batch.body, {"content-type": batch.media_type})
    assert answer.status_code == 200, answer.text[:500]


def assert_batch_passes(api: Api, batch: Batch) -> None:
    """Write, read and delete it."""
    assert_written(api, batch)
    keys = json.dumps({"keys": batch.keys}).encode()
    answer = api.post("read", keys, {"accept": MSGPACK})
    assert answer.status_code == 200, answer.text[:500]
    assert len(msgspec.msgpack.decode(answer.content, type=dict[str, dict[str, msgspec.Raw]])["data"]) == len(
        batch.keys
    )
    assert api.post("delete", keys).json() == {"status": "success", "deleted": len(batch.keys)}


LONG = {
    "most keys of most bytes, JSON",
    "vectors in MessagePack",
    "values of the most bytes, JSON",
    "values of just more than half a chunk",
    "TARANTKV_MAX_ANSWERING_BYTES",
    "TARANTKV_MAX_BUFFERED_BYTES",
    "TARANTKV_MAX_INFLIGHT_CHUNKS",
    "TARANTKV_MAX_WAIT_S",
}
"""`make test` runs one of each kind: the others differ only by the form of the body, or little."""


def sorted_out(names: Iterable[str]) -> list[Any]:
    """The names as parameters; some are marked `long`."""
    return [pytest.param(name, marks=[pytest.mark.long] if name in LONG else []) for name in names]


@pytest.mark.parametrize("name", sorted_out(BATCHES))
def test_a_batch_at_the_limits_succeeds(patient: Api, name: str) -> None:
    assert_batch_passes(patient, BATCHES[name]())


@pytest.fixture
def largest_answer(patient: Api, request: pytest.FixtureRequest) -> Iterator[list[str]]:
    """Keys whose values are as large as the answer of a read may be, all with the same element."""
    data = arrays(request.param, LIMITS.max_answer_bytes // VALUE_BYTES)
    keys = list(data)
    for first in range(0, len(keys), 31):
        assert_written(patient, Batch(MSGPACK, {key: data[key] for key in keys[first : first + 31]}))
    yield keys
    patient.delete(*keys)


@pytest.mark.parametrize(
    ("largest_answer", "accept"),
    [
        # The value that grows most; the others grow less.
        pytest.param(TEXTS, JSON, id="texts, JSON", marks=pytest.mark.long),
        pytest.param(TEXTS, MSGPACK, id="texts, MessagePack", marks=pytest.mark.long),
        pytest.param(NULS, JSON, id="texts that are six times as long in JSON"),
        pytest.param(NULS, MSGPACK, id="such texts in MessagePack", marks=pytest.mark.long),
    ],
    indirect=["largest_answer"],
)
def test_the_largest_answer_is_sent(patient: Api, largest_answer: list[str], accept: str) -> None:
    keys = json.dumps({"keys": largest_answer}).encode()
    with patient.http.stream(
        "POST",
        "/api/read",
        content=keys,
        headers={"authorization": str(patient.token), "content-type": JSON, "accept": accept},
    ) as answer:
        size = sum(map(len, answer.iter_raw()))
    assert answer.status_code == 200
    assert size == int(answer.headers["content-length"])
    assert size > 0.98 * LIMITS.max_answer_bytes


SMALL_SETTINGS = {
    "TARANTKV_MAX_BUFFERED_BYTES": str(LIMITS.max_body_bytes),
    "TARANTKV_MAX_ANSWERING_BYTES": str(LIMITS.max_answer_bytes),
    "TARANTKV_MAX_INFLIGHT_CHUNKS": "1",
    "TARANTKV_MAX_INFLIGHT_BYTES": "1024",
    "TARANTKV_MAX_WAIT_S": "0.05",
}


@pytest.mark.parametrize("setting", sorted_out(SMALL_SETTINGS))
def test_a_batch_at_the_limits_succeeds_even_if_another_setting_is_small(
    cluster: Cluster, token: str, setting: str
) -> None:
    with ApiProcess(cluster, {setting: SMALL_SETTINGS[setting]}) as process, Api(process.base_url, token) as client:
        client.http.timeout = PATIENCE_S
        assert_batch_passes(client, BATCHES["vectors, which grow"]())


@pytest.mark.long
def test_a_batch_at_the_limits_succeeds_with_small_settings_of_workers(new_cluster: NewCluster) -> None:
    small = {"TARANTKV_READ_FRAMES": "1", "TARANTKV_CALL_KEYS": "1", "TARANTKV_CALL_BYTES": "1024"}
    cluster = new_cluster(tier_settings={"worker": small, "api": {"TARANTKV_REQUEST_TIMEOUT_S": str(PATIENCE_S / 2)}})
    cluster.start()
    with Api(cluster.base_url, obtain_token(cluster.base_url, cluster.admin_user, cluster.admin_password)) as client:
        client.http.timeout = PATIENCE_S
        assert_batch_passes(client, BATCHES["vectors, which grow"]())
