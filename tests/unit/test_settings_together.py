"""Settings that contradict each other: refused at start with one line that names them and the rule."""

import pytest

from api.queue.deadlines import GRACE_S
from api.queue.sender import LAST_TRY_MS
from protocol.settings import (
    AuthSettings,
    BatchSettings,
    HttpSettings,
    SettingsError,
    WorkerSettings,
    check_together,
    load,
    variable,
)
from protocol.settings.cross_checks import GIVE_UP_S, RULES
from protocol.settings.deadlines import MIN_REQUEST_TIMEOUT_S
from worker.frames import GIVE_UP_MS

SECRET = {"TARANTKV_JWT_SECRET": "a secret of these tests that is long enough"}

CONTRADICTIONS: list[dict[str, str]] = [
    {"TARANTKV_CLAIM_IDLE_S": "1.0", "TARANTKV_CALL_TIMEOUT_S": "1.5"},
    {"TARANTKV_CLAIM_IDLE_S": "1.0", "TARANTKV_CALL_TIMEOUT_S": "1.0"},
    {"TARANTKV_WORKER_DRAIN_TIMEOUT_S": "1.5", "TARANTKV_CALL_TIMEOUT_S": "1"},
    {"TARANTKV_STOP_GRACE_S": "30", "TARANTKV_DRAIN_DELAY_S": "10", "TARANTKV_DRAIN_TIMEOUT_S": "20"},
    {"TARANTKV_STOP_GRACE_S": "30", "TARANTKV_WORKER_DRAIN_TIMEOUT_S": "25.5"},
    {"TARANTKV_REQUEST_TIMEOUT_S": "0.7", "TARANTKV_MAX_WAIT_S": "0.5"},
    {"TARANTKV_IDEMPOTENCY_WINDOW_S": "34", "TARANTKV_REQUEST_TIMEOUT_S": "5", "TARANTKV_CLOCK_SKEW_S": "30"},
    {"TARANTKV_MAX_BODY_BYTES": "10000", "TARANTKV_MAX_VALUE_BYTES": "9000", "TARANTKV_MAX_KEY_BYTES": "1024"},
    {"TARANTKV_MAX_ANSWER_BYTES": "2000", "TARANTKV_MAX_VALUE_BYTES": "2001"},
    {"TARANTKV_MAX_BUFFERED_BYTES": "1000000", "TARANTKV_MAX_BODY_BYTES": "1000001"},
    {"TARANTKV_MAX_ANSWERING_BYTES": "1000000", "TARANTKV_MAX_ANSWER_BYTES": "1000001"},
]


def refusal(environment: dict[str, str]) -> str:
    """The error of a process that reads these settings; the process must refuse them."""
    with pytest.raises(SettingsError) as caught:
        check_together(
            load(HttpSettings, environment),
            load(AuthSettings, {**environment, **SECRET}),
            load(BatchSettings, environment),
            load(WorkerSettings, environment),
        )
    return str(caught.value)


@pytest.mark.parametrize("environment", CONTRADICTIONS, ids=" ".join)
def test_a_contradiction_is_one_line_that_names_every_setting_of_it(environment: dict[str, str]) -> None:
    line = refusal(environment)
    assert "\n" not in line
    assert all(name in line for name in environment), line
    assert "contradict each other: " in line


def test_every_rule_has_a_contradiction_in_these_tests() -> None:
    contradicted = {frozenset(environment) for environment in CONTRADICTIONS}
    assert contradicted == {frozenset(map(variable, rule.fields)) for rule in RULES}


def test_no_defaults_contradict_each_other() -> None:
    check_together(HttpSettings(), AuthSettings(jwt_secret=SECRET["TARANTKV_JWT_SECRET"]), BatchSettings())
    check_together(WorkerSettings())


def test_the_shortest_request_timeout_exceeds_what_worker_and_api_need() -> None:
    assert max(GIVE_UP_MS, LAST_TRY_MS, 1000 * GRACE_S) < MIN_REQUEST_TIMEOUT_S * 1000
    assert GIVE_UP_S * 1000 == GIVE_UP_MS
