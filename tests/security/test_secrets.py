"""No secret leaks from a system that logs as much as possible, through successes and failures."""

import json
import secrets
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil
import pytest

from localcluster import dotenv, leftovers
from localcluster.cluster import Cluster
from localcluster.config import for_tests
from tests.contract.calls import TIMEOUT_S, json_body
from tests.contract.waiting import until
from tests.integration.processes import manage, run_module

# On a busy machine one start of all programs and two of half of them take some time.
pytestmark = pytest.mark.timeout(180)

FAILURES = {503, 504}
"""The possible statuses while a server is down: they depend on whether the request was already sent."""


def canary(name: str) -> str:
    """A long random secret of letters only, so that no encoding hides it."""
    return f"{name}canary{''.join(secrets.choice('abcdefghkmnpqrstuvwxyz') for _ in range(40))}"


@dataclass
class Lived:
    """A cluster after many successes and failures, its secrets, and all its answers."""

    cluster: Cluster
    secrets: dict[str, str]
    answers: list[httpx.Response] = field(default_factory=list)
    said: str = ""
    """The output of the user administration."""


NAMES = (dotenv.JWT_SECRET, dotenv.ADMIN_PASSWORD, dotenv.REDIS_WORKER_PASSWORD, dotenv.STORE_PASSWORD)


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lived]:
    settings = {name: canary(f"s{number}") for number, name in enumerate(NAMES)}
    of_api = canary("redis")
    config = for_tests(
        tmp_path_factory.mktemp("debug"),
        shards=1,
        workers=1,
        settings={**settings, "TARANTKV_LOG_LEVEL": "debug"},
        tier_settings={
            "api": {
                dotenv.REDIS_PASSWORD: of_api,
                "TARANTKV_ACCESS_LOG": "all",
                "TARANTKV_REQUEST_TIMEOUT_S": "0.7",
                "TARANTKV_MAX_WAIT_S": "0.3",
                "TARANTKV_LOGIN_TRIES_PER_USER": "1000",
            }
        },
    )
    cluster = Cluster(config)
    lived = Lived(cluster, {**settings, "the api's Redis password": of_api, "a user's password": canary("user")})
    cluster.start()
    try:
        live(lived)
        yield lived
    finally:
        cluster.stop()


class Caller:
    """A client whose answers are recorded."""

    def __init__(self, lived: Lived, client: httpx.Client) -> None:
        self._lived = lived
        self._client = client

    def send(self, method: str, path: str, content: bytes = b"", **headers: str) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = self._client.request(method, path, content=content, headers=named)
        # The answer to a read contains the stored values.
        if (path, answer.status_code) != ("/api/read", 200):
            self._lived.answers.append(answer)
        return answer

    def post(self, path: str, document: object, **headers: str) -> httpx.Response:
        return self.send("POST", path, json_body(document), **headers)

    def call(self, token: str, value: str) -> None:
        """Send one batch of each kind."""
        self.post("/api/write", {"data": {"k": value}}, authorization=token)
        self.post("/api/read", {"keys": ["k"]}, authorization=f"Bearer {token}")
        self.post("/api/delete", {"keys": ["k"]}, authorization=token, idempotency_key=secrets.token_hex(8))

    def log_in(self, user: str, password: str) -> httpx.Response:
        return self.post("/api/login", {"username": user, "password": password})


def live(lived: Lived) -> None:
    cluster, known = lived.cluster, lived.secrets
    with httpx.Client(base_url=cluster.base_url, timeout=TIMEOUT_S, trust_env=False, verify=False) as client:
        caller = Caller(lived, client)
        done = manage(cluster, "user-add", "alice", password=known["a user's password"])
        assert done.returncode == 0, done.stderr
        lived.said = done.stdout + done.stderr
        tokens = [
            caller.log_in(cluster.admin_user, cluster.admin_password).json()["token"],
            caller.log_in("alice", known["a user's password"]).json()["token"],
        ]
        # The answers to logins contain tokens.
        lived.answers.clear()
        known |= {"a token": tokens[0], "a user's token": tokens[1], "its signature": tokens[1].rpartition(".")[2]}
        known |= {"a wrong password": canary("wrong"), "a stored value": canary("value")}
        caller.call(tokens[1], "of no interest")
        make_mistakes(caller, known)
        administer(caller, known, tokens[0])
        for name in ("shard-s1", "redis"):
            cluster.kill(name, signal.SIGKILL)
            cluster.stop_program(name)
            caller.call(tokens[1], known["a stored value"])
            caller.log_in("alice", known["a wrong password"])
            cluster.start_program(name)
        cluster.wait_running()
        cluster.wait_ready()
        until(
            lambda: caller.post("/api/write", {"data": {"k": 1}}, authorization=tokens[1]).status_code == 200,
            30,
            "no write succeeds after the kills",
        )
        caller.send("POST", "/api/logout", authorization=tokens[1])
        caller.call(tokens[1], known["a stored value"])
        caller.send("GET", "/metrics")


def administer(caller: Caller, known: dict[str, str], token: str) -> None:
    """Give users passwords over HTTP, valid and invalid ones."""
    known["another user's password"] = secret = canary("http")
    new = {"name": "bob", "password": secret, "scopes": ["read"]}
    assert caller.post("/api/users", new, authorization=token).status_code == 201
    caller.send("PATCH", "/api/users/bob", json_body({"password": known["a user's password"]}), authorization=token)
    for wrong in (
        {**new, "password": [secret]},
        {**new, "more": secret},
        {**new, "password": secret * 100},
        [secret],
        new,
    ):
        assert caller.post("/api/users", wrong, authorization=token).status_code in (400, 409)
    caller.send("GET", "/api/users", authorization=token)
    caller.send("DELETE", "/api/users/bob", authorization=token)


def make_mistakes(caller: Caller, known: dict[str, str]) -> None:
    """Put secrets into wrong places, as clients do."""
    token, wrong, value = known["a user's token"], known["a wrong password"], known["a stored value"]
    for user in ("alice", wrong):
        caller.log_in(user, wrong)
    for document in (
        {"username": "alice", "password": [wrong]},
        {"username": "alice", "password": {"x": wrong}},
        {"username": "alice", "password": wrong, "more": wrong},
        {"username": "alice", "password": wrong * 100},
        {"username": "alice", "password": wrong * 1000},
        [wrong],
        wrong,
    ):
        caller.post("/api/login", document)
    caller.send("POST", "/api/login", json_body({"username": "alice", "password": wrong})[:-1])
    caller.send("POST", "/api/login", b"\xff" + wrong.encode())
    caller.send("POST", "/api/login", wrong.encode(), content_type=f"text/{wrong}")
    caller.post(f"/api/read?token={token}&password={wrong}", {})
    for spoilt in (f"{token}x", token[:-1], f"Basic {token}", token.swapcase(), f"{token} {token}"):
        caller.call(spoilt, value)
    caller.send("POST", "/api/write", json_body({"data": {"k": value}})[:-1], authorization=token)
    caller.post("/api/write", {"data": [value]}, authorization=token)
    for method, path in (("GET", "/metrics"), ("GET", "/schema/openapi.json"), ("PUT", "/api/read"), ("GET", "/x")):
        caller.send(method, path, authorization=token)


def found(lived: Lived, text: str | bytes) -> list[str]:
    """Names of the secrets that a text contains."""
    data = text.encode() if isinstance(text, str) else text
    return [name for name, secret in lived.secrets.items() if secret.encode() in data]


def test_no_log_contains_a_secret(lived: Lived) -> None:
    logs = [path for path in lived.cluster.layout.log_dir.iterdir() if path.is_file()]
    assert {"api.log", "worker-1.log", "shard-s1.log", "redis.log", "supervisord.log"} <= {path.name for path in logs}
    for path in logs:
        assert found(lived, path.read_bytes()) == [], path
    # Check that the logs contain every request, and the faults of every tier.
    api = lived.cluster.log_path("api").read_text()
    assert '"level":"debug"' in api
    statuses = {json.loads(line).get("status") for line in api.splitlines() if '"request"' in line}
    assert statuses >= {200, 400, 401}
    assert statuses & FAILURES
    assert "redis failed" in lived.cluster.log_path("worker-1").read_text()


def test_no_answer_and_no_metric_contains_a_secret(lived: Lived) -> None:
    statuses = {answer.status_code for answer in lived.answers}
    assert statuses >= {200, 400, 401, 404, 405, 413, 415}
    assert statuses & FAILURES
    for answer in lived.answers:
        assert found(lived, answer.content) == [], (answer.request.url, answer.status_code)
        assert found(lived, str(answer.headers)) == [], answer.request.url


def test_no_failed_start_prints_a_secret(lived: Lived) -> None:
    secret = lived.cluster.settings[dotenv.JWT_SECRET]
    for settings in (
        {"TARANTKV_JWT_SECRET": f"{secret},{secret[:20]}"},
        {"TARANTKV_STARTUP_TIMEOUT_S": "0.3", "TARANTKV_REDIS_USER": "nobody"},
    ):
        done = run_module(lived.cluster, "api", settings)
        assert done.returncode != 0
        assert done.stderr
        assert found(lived, done.stdout + done.stderr) == [], settings.keys()


def test_the_administration_of_users_prints_no_password_that_it_was_given(lived: Lived) -> None:
    assert "alice" in lived.said
    assert found(lived, lived.said) == []


def test_no_list_of_processes_shows_a_secret(lived: Lived) -> None:
    processes = leftovers.find(lived.cluster.layout)
    assert len(processes) >= 5
    for process in processes:
        assert found(lived, Path(f"/proc/{process.pid}/cmdline").read_bytes()) == []


def test_every_process_has_only_the_secrets_that_it_needs(lived: Lived) -> None:
    """Only its own user can read its environment, and children inherit it."""
    needed: dict[str, set[str]] = {
        "redis": set(),
        "shard-s1": {dotenv.STORE_PASSWORD},
        "worker-1": {dotenv.STORE_PASSWORD, dotenv.REDIS_WORKER_PASSWORD},
        "api": {dotenv.JWT_SECRET, dotenv.ADMIN_PASSWORD, "the api's Redis password"},
    }
    for name, secrets_ in needed.items():
        pid = lived.cluster.pid(name)
        assert set(found(lived, Path(f"/proc/{pid}/environ").read_bytes())) <= secrets_, name
    supervisord = psutil.Process(lived.cluster.pid("api")).parent()
    assert supervisord is not None
    assert found(lived, Path(f"/proc/{supervisord.pid}/environ").read_bytes()) == []


def test_no_process_leaves_its_memory_on_disk(lived: Lived) -> None:
    for process in leftovers.find(lived.cluster.layout):
        assert process.rlimit(psutil.RLIMIT_CORE) == (0, 0), process.cmdline()


def test_only_its_owner_can_read_a_file_with_a_secret(lived: Lived) -> None:
    holding = set()
    for path in lived.cluster.config.data_dir.rglob("*"):
        if path.is_file() and found(lived, path.read_bytes()):
            assert path.stat().st_mode & 0o077 == 0, path
            holding.add(path.name)
    # The files that start programs, and the values themselves.
    assert {"api.json", "worker-1.json", "shard-s1.json"} <= holding
    assert all(name.endswith((".json", ".xlog", ".snap")) for name in holding), holding
