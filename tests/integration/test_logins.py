"""The api counts failed logins by user and by address, and refuses logins beyond a limit."""

from collections.abc import Callable

import httpx

from tests.contract.calls import Api, json_body
from tests.contract.documented import Documented
from tests.contract.problems import assert_usable, problem_of
from tests.contract.waiting import until
from tests.integration.conftest import LIMITS, NewApi, NewUser, User

FreshKey = Callable[[], str]
PER_USER = int(LIMITS["TARANTKV_LOGIN_TRIES_PER_USER"])
PER_ADDRESS = int(LIMITS["TARANTKV_LOGIN_TRIES_PER_ADDRESS"])
WINDOW_S = int(LIMITS["TARANTKV_LOGIN_WINDOW_S"])


def tried(api: Api, name: str, password: str, address: str) -> httpx.Response:
    """A login as the proxy in front of the api forwards it."""
    body = json_body({"username": name, "password": password})
    return api.post("login", body, {"x-forwarded-for": address})


def test_a_user_with_too_many_failed_logins_is_throttled(strict: Api, new_user: NewUser) -> None:
    user = new_user()
    for number in range(PER_USER):
        problem_of(tried(strict, user.name, "wrong password", f"10.1.0.{number}"), "unauthorized")
    held = tried(strict, user.name, user.password, "10.1.1.1")
    problem_of(held, "too-many-logins")
    assert 1 <= int(held.headers["retry-after"]) <= WINDOW_S
    assert_usable(strict, held)


def test_a_throttled_user_may_try_again_when_the_window_is_over(
    new_api: NewApi, new_user: NewUser, documented: Documented
) -> None:
    user = new_user()
    process = new_api(
        TARANTKV_LOGIN_TRIES_PER_USER="1", TARANTKV_LOGIN_WINDOW_S="1", TARANTKV_TRUSTED_PROXIES="127.0.0.1"
    )
    addresses = (f"10.5.{number // 250}.{number % 250}" for number in range(2500))
    with Api(process.base_url, None, documented) as api:

        def status(password: str) -> int:
            return tried(api, user.name, password, next(addresses)).status_code

        until(lambda: status("wrong password") == 429, 15, "logins are not throttled")
        until(lambda: status(user.password) == 200, 10, "logins are still throttled")


def test_an_address_with_too_many_failed_logins_is_throttled(
    strict: Api, service_admin: User, fresh_key: FreshKey
) -> None:
    for _ in range(PER_ADDRESS):
        problem_of(tried(strict, fresh_key().replace(":", "-"), "wrong password", "10.2.0.1"), "unauthorized")
    held = tried(strict, service_admin.name, service_admin.password, "10.2.0.1")
    problem_of(held, "too-many-logins")
    assert 1 <= int(held.headers["retry-after"]) <= WINDOW_S
    assert tried(strict, service_admin.name, service_admin.password, "10.2.0.2").status_code == 200


def test_an_ipv6_network_counts_as_one_address(strict: Api, service_admin: User, fresh_key: FreshKey) -> None:
    for number in range(PER_ADDRESS):
        stranger = fresh_key().replace(":", "-")
        problem_of(tried(strict, stranger, "wrong password", f"2001:db8:7:7:{number:x}::1"), "unauthorized")
    held = tried(strict, service_admin.name, service_admin.password, "2001:db8:7:7:ffff::9")
    problem_of(held, "too-many-logins")
    assert tried(strict, service_admin.name, service_admin.password, "2001:db8:7:8::9").status_code == 200


def test_logins_refused_for_their_address_do_not_throttle_the_user(strict: Api, new_user: NewUser) -> None:
    user = new_user()
    for number in range(PER_ADDRESS):
        problem_of(tried(strict, f"{user.name}-{number}", "wrong password", "10.6.0.1"), "unauthorized")
    for _ in range(PER_USER + 1):
        problem_of(tried(strict, user.name, "wrong password", "10.6.0.1"), "too-many-logins")
    assert tried(strict, user.name, user.password, "10.6.0.2").status_code == 200


def test_logins_that_succeed_do_not_count(strict: Api, service_admin: User) -> None:
    for _ in range(PER_ADDRESS + 1):
        assert tried(strict, service_admin.name, service_admin.password, "10.3.0.1").status_code == 200


def test_a_user_that_does_not_exist_is_throttled_like_one_that_does(strict: Api, fresh_key: FreshKey) -> None:
    name = fresh_key().replace(":", "-")
    for number in range(PER_USER):
        problem_of(tried(strict, name, "wrong password", f"10.4.0.{number}"), "unauthorized")
    problem_of(tried(strict, name, "wrong password", "10.4.1.1"), "too-many-logins")
