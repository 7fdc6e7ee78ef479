"""Logins by attackers: no answer shows which users exist, and guessing takes little of the system's time."""

import asyncio
import secrets
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address
from typing import Any

import httpx
import psutil
import pytest

from api.auth.passwords import MAX_WAITING
from localcluster.cluster import Cluster
from protocol.names import login_counter
from protocol.settings.auth import MAX_PASSWORD_BYTES
from tests.contract.calls import TIMEOUT_S, Api, json_body
from tests.contract.documented import Documented
from tests.contract.problems import problem_of
from tests.integration.conftest import LIMITS, NewApi, User
from tests.integration.processes import ApiProcess, manage
from tests.security.redis_users import administrator, run

PER_USER = int(LIMITS["TARANTKV_LOGIN_TRIES_PER_USER"])
PER_ADDRESS = int(LIMITS["TARANTKV_LOGIN_TRIES_PER_ADDRESS"])
WRONG = "a wrong password"
TRIES = 2


@pytest.fixture(scope="session")
def user(cluster: Cluster) -> User:
    user = User("known", "the right password")
    assert manage(cluster, "user-add", user.name, password=user.password).returncode == 0
    return user


@pytest.fixture(scope="session")
def disabled_user(cluster: Cluster) -> User:
    user = User("shut-out", "the right password too")
    assert manage(cluster, "user-add", user.name, password=user.password).returncode == 0
    assert manage(cluster, "disable", user.name).returncode == 0
    return user


@pytest.fixture(autouse=True)
def nobody_has_failed_yet(cluster: Cluster) -> Iterator[None]:
    """An api with high limits: these tests log in with wrong passwords, as the same users and from the same machine."""
    forget_failures(cluster)
    yield
    forget_failures(cluster)


def forget_failures(cluster: Cluster) -> None:
    (counters,) = run(administrator(cluster), ("KEYS", login_counter("*", "*")))
    if counters:
        run(administrator(cluster), ("DEL", *counters))


def address() -> str:
    """A user name that has not failed yet."""
    return str(IPv4Address(secrets.randbits(32)))


def tried(api: Api, user: str, password: str, **headers: str) -> httpx.Response:
    given = {"x-forwarded-for": address(), **{name.replace("_", "-"): value for name, value in headers.items()}}
    return api.post("login", json_body({"username": user, "password": password}), given)


def strangers(name: str) -> Iterator[str]:
    """Names without a user, valid and invalid ones."""
    yield f"{name}x"
    yield from (" ", f"{name} ", name.upper(), f"{name}\0", "../admin", "\U0001f511")


def test_every_failure_has_the_same_answer(strict: Api, user: User, disabled_user: User) -> None:
    given = {"x_request_id": "a-login"}
    answers = [
        tried(strict, user.name, WRONG, **given),
        tried(strict, user.name, f"{user.password} ", **given),
        tried(strict, disabled_user.name, disabled_user.password, **given),
        tried(strict, disabled_user.name, WRONG, **given),
        *(tried(strict, name, WRONG, **given) for name in strangers(user.name)),
    ]
    first = answers[0]
    problem_of(first, "unauthorized", "the user name or the password is wrong")
    for answer in answers:
        assert (answer.status_code, answer.content) == (first.status_code, first.content)
        headers = [{name: value for name, value in one.headers.items() if name != "date"} for one in (answer, first)]
        assert headers[0] == headers[1]


def test_every_failure_takes_the_time_of_one_verification(
    strict_api: ApiProcess, strict: Api, user: User, disabled_user: User
) -> None:
    """The test measures the CPU time of the api's process, which depends little on the machine's other load."""
    process = psutil.Process(strict_api._process.pid)

    def cost(user: Callable[[], str], password: str) -> float:
        spent = []
        for _ in range(TRIES):
            before = sum(process.cpu_times()[:2])
            tried(strict, user(), password)
            spent.append(sum(process.cpu_times()[:2]) - before)
        return min(spent)

    usual = cost(lambda: user.name, user.password)
    assert usual >= 0.03, "a verification must be expensive"
    costs = {
        "a wrong password": cost(lambda: user.name, WRONG),
        "a disabled user, right password": cost(lambda: disabled_user.name, disabled_user.password),
        "nobody": cost(lambda: secrets.token_hex(8), WRONG),
        "an impossible name": cost(lambda: f"/{secrets.token_hex(8)}", WRONG),
    }
    assert {what: spent for what, spent in costs.items() if not usual / 2 <= spent <= usual * 2} == {}, usual


def test_being_throttled_does_not_show_whether_the_user_exists(strict: Api, user: User, disabled_user: User) -> None:
    held = []
    for name in (user.name, disabled_user.name, secrets.token_hex(8)):
        statuses = [tried(strict, name, WRONG).status_code for _ in range(PER_USER)]
        assert statuses == [401] * PER_USER
        held.append(tried(strict, name, WRONG, x_request_id="a-login"))
    problem_of(held[0], "too-many-logins")
    varying = ("date", "retry-after")
    assert {answer.content for answer in held} == {held[0].content}
    for answer in held:
        assert int(answer.headers["retry-after"]) > 0
        assert {name for name in answer.headers if name not in varying} == {
            name for name in held[0].headers if name not in varying
        }


def test_a_throttled_login_takes_no_verification(strict_api: ApiProcess, strict: Api) -> None:
    process, name = psutil.Process(strict_api._process.pid), secrets.token_hex(8)
    for _ in range(PER_USER):
        tried(strict, name, WRONG)
    before = sum(process.cpu_times()[:2])
    for _ in range(10):
        assert tried(strict, name, WRONG).status_code == 429
    assert sum(process.cpu_times()[:2]) - before < 0.3


@pytest.mark.parametrize("proxies", ["", pytest.param("10.0.0.0/8", marks=pytest.mark.long)])
def test_an_address_that_the_client_claims_is_ignored(new_api: NewApi, documented: Documented, proxies: str) -> None:
    process = new_api(TARANTKV_LOGIN_TRIES_PER_ADDRESS="2", TARANTKV_TRUSTED_PROXIES=proxies)
    with Api(process.base_url, None, documented) as api:
        statuses = [
            tried(api, secrets.token_hex(8), WRONG, x_real_ip=address(), forwarded=f"for={address()}").status_code
            for _ in range(3)
        ]
    assert statuses == [401, 401, 429]


def test_only_the_address_that_a_trusted_proxy_added_counts(strict: Api) -> None:
    client = address()
    statuses = [
        tried(strict, secrets.token_hex(8), WRONG, x_forwarded_for=f"{address()}, {client}").status_code
        for _ in range(PER_ADDRESS + 1)
    ]
    assert statuses == [401] * PER_ADDRESS + [429]


def test_a_password_that_is_too_long_is_refused_without_a_verification(
    strict_api: ApiProcess, strict: Api, service_admin: User
) -> None:
    process = psutil.Process(strict_api._process.pid)
    before = sum(process.cpu_times()[:2])
    for length in (MAX_PASSWORD_BYTES + 1, 15_000):
        problem_of(tried(strict, service_admin.name, "x" * length), "invalid-request", str(MAX_PASSWORD_BYTES))
    problem_of(tried(strict, service_admin.name, "x" * (16 * 1024)), "body-too-large")
    problem_of(tried(strict, "x" * (16 * 1024), "x"), "body-too-large")
    problem_of(tried(strict, service_admin.name, "ü" * (MAX_PASSWORD_BYTES // 2 + 1)), "invalid-request")
    assert sum(process.cpu_times()[:2]) - before < 0.2


def test_a_flood_of_logins_is_bounded_and_delays_no_other_request(strict_api: ApiProcess, token: str) -> None:
    """A verification takes 64 MiB: the api runs two at a time, lets a few wait, and rejects the rest."""
    peak = 0

    async def flood() -> tuple[list[httpx.Response], list[float]]:
        nonlocal peak
        process = psutil.Process(strict_api._process.pid)
        limits = httpx.Limits(max_connections=None)
        client = httpx.AsyncClient(
            base_url=strict_api.base_url, timeout=TIMEOUT_S, trust_env=False, verify=False, limits=limits
        )
        async with client:

            async def log_in() -> httpx.Response:
                body: Any = {"username": secrets.token_hex(8), "password": WRONG}
                return await client.post("/api/login", json=body, headers={"x-forwarded-for": address()})

            logins = [asyncio.ensure_future(log_in()) for _ in range(MAX_WAITING + 8)]
            loop, waits = asyncio.get_running_loop(), []
            while not all(login.done() for login in logins):
                began = loop.time()
                read = await client.post("/api/read", json={"keys": ["x"]}, headers={"authorization": token})
                assert read.status_code == 200
                waits.append(loop.time() - began)
                peak = max(peak, process.memory_info().rss)
            return [login.result() for login in logins], waits

    idle = psutil.Process(strict_api._process.pid).memory_info().rss
    answers, waits = asyncio.run(flood())
    statuses = [answer.status_code for answer in answers]
    assert set(statuses) == {401, 503}
    assert statuses.count(401) >= MAX_WAITING
    assert all("retry-after" in answer.headers for answer in answers if answer.status_code == 503)
    assert peak - idle < 300 * 1024 * 1024
    assert sorted(waits)[len(waits) // 2] < 1.0
