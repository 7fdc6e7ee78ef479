"""Large answers and large logins: several at a time are answered, and hold up nobody."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from tests.contract.calls import Api

READERS = 8
VALUES = 24
VALUE = "x" * (500 * 1024)

FreshKey = Callable[[], str]


def test_large_reads_at_a_time_are_all_answered_and_hold_up_no_writer(
    api: Api, token: str, fresh_key: FreshKey
) -> None:
    keys = [fresh_key() for _ in range(VALUES)]
    for key in keys:
        api.write({key: VALUE})

    def read(_: int) -> bool:
        with Api(str(api.http.base_url), token) as client:
            return client.read(*keys) == dict.fromkeys(keys, VALUE)

    with ThreadPoolExecutor(READERS) as threads:
        answers = threads.map(read, range(READERS))
        small = fresh_key()
        api.write({small: 1})
        assert all(answers)
    api.delete(*keys, small)


def test_a_login_has_a_small_body(api: Api) -> None:
    answer = api.post("login", b'{"username": "' + b"x" * 20_000 + b'", "password": "y"}')
    assert answer.status_code == 413
