"""Settings that contradict each other: one rule for each pair, checked by every process that knows both.

There is a rule if a system with such settings would start but could not do what they say: requests that can never
succeed, work that is done twice, or an end before the event that it waits for. Settings with a disadvantage but a
defined outcome have no rule: a drain that is shorter than a request (its client gets no answer), a frame claim that
lasts longer than a request (the requests of a dead worker's frames time out), a cache of accounts that outlives a token
(the token's end is checked each time).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from protocol.settings.base import SettingsError, variable

CALL_MARGIN_S = 0.2
"""The time from the renewal of a claim to the first byte of the call: a round trip to Redis and the encoding of a
call."""

END_S = 5.0
"""The time that a process needs to end after its drain, on a busy machine."""

GIVE_UP_S = 0.25
"""How long before its deadline a worker gives up a chunk."""


@dataclass(frozen=True)
class Rule:
    """A relation of two or more settings. `holds` is called with their values in the order of `fields`."""

    fields: tuple[str, ...]
    holds: Callable[..., bool]
    text: str
    """What must be true, and what happens otherwise."""


RULES = (
    Rule(
        ("claim_idle_s", "call_timeout_s"),
        lambda idle, call: idle >= call + CALL_MARGIN_S,
        f"a frame claim must outlast a call by {CALL_MARGIN_S} s, or another worker repeats every slow call",
    ),
    Rule(
        ("worker_drain_timeout_s", "call_timeout_s"),
        lambda drain, call: drain >= 2 * call,
        "a worker needs half of its drain for a call and half for the answers, or it ends with frames in hand",
    ),
    Rule(
        ("stop_grace_s", "drain_delay_s", "drain_timeout_s"),
        lambda grace, delay, drain: not grace or grace >= delay + drain + END_S,
        f"an api needs {END_S:g} s to end after its delay and drain, or it is killed before all requests are answered",
    ),
    Rule(
        ("stop_grace_s", "worker_drain_timeout_s"),
        lambda grace, drain: not grace or grace >= drain + END_S,
        f"a worker needs {END_S:g} s to end after its drain, or it is killed with frames in hand",
    ),
    Rule(
        ("request_timeout_s", "max_wait_s"),
        lambda request, wait: request >= wait + GIVE_UP_S,
        f"a batch that has waited for the longest time needs {GIVE_UP_S} s more, or a worker gives it up unsent",
    ),
    Rule(
        ("idempotency_window_s", "request_timeout_s", "clock_skew_s"),
        lambda window, request, skew: window >= request + skew,
        "the window must outlast a request and the clock skew, or a retry is applied a second time",
    ),
    Rule(
        ("max_body_bytes", "max_key_bytes", "max_value_bytes"),
        lambda body, key, value: body >= key + value,
        "a body must hold one key with its value, or the largest allowed value cannot be written",
    ),
    Rule(
        ("max_answer_bytes", "max_value_bytes"),
        lambda answer, value: answer >= value,
        "an answer must hold one value, or a value that may be written cannot be read",
    ),
    Rule(
        ("max_buffered_bytes", "max_body_bytes"),
        lambda buffered, body: buffered >= body,
        "one process must have room for one body, or the largest allowed body is always refused",
    ),
    Rule(
        ("max_answering_bytes", "max_answer_bytes"),
        lambda answering, answer: answering >= answer,
        "one process must have room for one answer, or the largest allowed answer is always refused",
    ),
)


def check(values: Mapping[str, Any]) -> None:
    """Check settings, given by field, by every rule whose settings are all present.

    Raises:
        SettingsError: two contradict each other; the line names them, their values and the rule.
    """
    for rule in RULES:
        if all(name in values for name in rule.fields):
            given = [values[name] for name in rule.fields]
            if not rule.holds(*given):
                shown = [f"{variable(name)}={value}" for name, value in zip(rule.fields, given, strict=True)]
                raise SettingsError(f"{', '.join(shown[:-1])} and {shown[-1]} contradict each other: {rule.text}")
