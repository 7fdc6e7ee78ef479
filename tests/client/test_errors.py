"""The client's errors: one class for each problem of the api, with its attributes."""

import copy
import pickle
from collections.abc import Iterator

import msgpack
import pytest
from tarantkv import errors
from tarantkv.answers import document_of, error_of
from tarantkv.wire import MSGPACK, packer, unpacked

from api.http.problems import Kind
from tests.client.scripted import problem
from tests.contract.samples import MSGPACK_VALUES


def classes(base: type[errors.TarantKVError] = errors.TarantKVError) -> Iterator[type[errors.TarantKVError]]:
    yield base
    for kind in base.__subclasses__():
        yield from classes(kind)


# For these the client can report only that the request was refused.
GENERAL = {
    "target-too-long",
    "unsupported-media-type",
    "unsupported-content-coding",
    "expectation-failed",
    "head-too-large",
    "not-implemented",
    "version-not-supported",
}


@pytest.mark.parametrize("kind", Kind, ids=lambda kind: kind.value[0])
def test_every_problem_of_the_api_is_an_error_of_its_own_class(kind: Kind) -> None:
    name = kind.value[0]
    error = error_of(problem(kind.status, name, 3))
    assert (name in errors.CLASSES) != (name in GENERAL)
    assert type(error) is errors.CLASSES.get(name, type(error))
    assert error.kind == name
    assert error.status == kind.status
    assert error.retry_after == 3
    retried = isinstance(error, (errors.UnavailableError, errors.OutcomeUnknownError, errors.TooManyLoginsError))
    assert retried == (kind.status in (408, 429, 503, 504))


@pytest.mark.parametrize("make", [lambda e: pickle.loads(pickle.dumps(e)), copy.copy, copy.deepcopy])
@pytest.mark.parametrize("kind", [*classes()], ids=lambda kind: kind.__name__)
def test_every_error_pickles_and_copies(kind: type[errors.TarantKVError], make: object) -> None:
    error = kind("what happened")
    error.failed, error.applied, error.retry_after, error.status = {"a": "unknown"}, ["b"], 2.0, 504
    error.problem = {"request_id": "r-1", "type": "urn:tarant-kv:problem:x", "current": {"a": {}}}
    if isinstance(error, errors.ExportBrokenError):
        error.cursor, error.items, error.last_key = "c", 7, "k"
    twin = make(error)  # type: ignore[operator]  # one of the functions above
    assert type(twin) is kind
    assert vars(twin) == vars(error)
    assert str(twin) == str(error) == "what happened (request r-1)"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (502, errors.OutcomeUnknownError),
        (503, errors.UnavailableError),
        (504, errors.OutcomeUnknownError),
        (413, errors.TooLargeError),
        (401, errors.UnauthorizedError),
        (404, errors.RequestError),
        (500, errors.InternalError),
    ],
)
def test_the_status_of_a_proxys_own_answer_decides_the_error(status: int, kind: type) -> None:
    answer = problem(status, "x")._replace(body=b"<html>Bad gateway</html>")
    assert type(error_of(answer)) is kind
    assert "Bad gateway" in str(error_of(answer))


@pytest.mark.parametrize("body", [b"\x81\x81\x01\x02\x03", b"\x81\x91\x91\x80\x01", b"\x81\xa1", b"\xc1"])
def test_damaged_messagepack_counts_as_an_incomplete_answer(body: bytes) -> None:
    answer = problem(200, "x")._replace(headers={"content-type": MSGPACK}, body=body)
    with pytest.raises(errors.ConnectionLostError, match="damaged"):
        document_of(answer)


def test_arrays_are_tuples_as_map_keys_and_lists_as_values() -> None:
    value = {(1, (2, b"x")): [1, {(): [{}]}], "b": {}, "a": [[]]}
    again = unpacked(packer()(value))
    assert again == value
    assert list(again) == list(value)


@pytest.mark.parametrize("name", MSGPACK_VALUES)
def test_every_storable_value_can_be_read_together_with_others(name: str) -> None:
    encoded = MSGPACK_VALUES[name]
    body = b"\x82\xa1a" + encoded + b"\xa1b\xd5\xf0xy"
    read = unpacked(body)
    assert packer()(read["b"]) == b"\xd5\xf0xy"
    try:
        assert read["a"] == msgpack.unpackb(encoded, strict_map_key=False, use_list="as a name" not in name)
    except ValueError:
        # The library refuses this value.
        assert packer()(read["a"]) == encoded


def test_a_retry_after_that_is_a_date_or_damaged_is_ignored() -> None:
    for text in ("Wed, 21 Oct 2026 07:28:00 GMT", "-1", "1e9", "٣", "9" * 40):
        answer = problem(503, "overloaded")
        assert error_of(answer._replace(headers={"retry-after": text})).retry_after is None
