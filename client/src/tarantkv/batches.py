"""Runs a batch: cuts it, sends its parts in parallel, and joins their answers or errors."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, NamedTuple

from tarantkv.cutting import Batch, Entry, cut
from tarantkv.effects import Outcome, Steps, Together
from tarantkv.errors import (
    NOT_APPLIED,
    NOT_READ,
    ConditionFailedError,
    DatabaseRefusedError,
    InternalError,
    InvalidRequestError,
    OutcomeUnknownError,
    RequestError,
    TarantKVError,
    TooLargeError,
)
from tarantkv.sending import IDEMPOTENCY_KEY, Call, Sender

LONGEST_KEY = 200
"""The longest `Idempotency-Key` that a caller may give: the parts of a batch add to it, and the server accepts 256."""

_RANK: tuple[type[TarantKVError], ...] = (
    OutcomeUnknownError,
    InternalError,
    DatabaseRefusedError,
    RequestError,
    ConditionFailedError,
)
"""If a batch has several errors, the batch's error is the first of these kinds; unavailable ranks above a condition."""


class Part(NamedTuple):
    """A part of a batch. `key` is its `Idempotency-Key`, None in a read."""

    entries: Sequence[Entry]
    key: str | None


Documents = list[dict[str, Any]]


def idempotency_key(given: str | None) -> str:
    """The key of a change: the given one, or a new one.

    Raises:
        InvalidRequestError: the server would not accept it.
    """
    if given is None:
        return os.urandom(16).hex()
    if not 1 <= len(given) <= LONGEST_KEY or not given.isascii() or not given.isprintable():
        raise InvalidRequestError(f"an Idempotency-Key must be 1 to {LONGEST_KEY} printable ASCII characters")
    return given


def run(sender: Sender, batch: Batch, *, key: str | None, deadline_s: float | None) -> Steps[Documents]:
    """The documents of all parts; none for a batch without keys. `key` is the batch's `Idempotency-Key`; None for a
    read.

    Raises:
        TarantKVError: the worst error of the parts, with the outcome of each key.
    """
    if not batch.entries:
        return []
    policy = sender.policy
    until = sender.until(deadline_s)
    pieces = list(cut(batch.entries, policy.batch_keys, policy.batch_bytes))
    if len(pieces) == 1:
        return (yield from _halving(sender, batch, Part(pieces[0], key), until))
    parts = [Part(piece, None if key is None else f"{key}/{number}") for number, piece in enumerate(pieces, 1)]
    steps = [_halving(sender, batch, part, until) for part in parts]
    outcomes: Sequence[Outcome] = yield Together(steps, policy.parallel, is_hopeless)
    if all(outcome.begun and outcome.error is None for outcome in outcomes):
        return [document for outcome in outcomes for document in outcome.value]
    raise together(parts, outcomes)


def is_hopeless(error: BaseException) -> bool:
    """Whether further parts of the batch would fail like this one, or no caller waits for them any more."""
    return not isinstance(error, TarantKVError) or isinstance(error, RequestError)


def _halving(sender: Sender, batch: Batch, part: Part, until: float) -> Steps[Documents]:
    """Send a part; if it is too large for the server, send its halves, one after the other."""
    headers = {} if part.key is None else {IDEMPOTENCY_KEY: part.key}
    keys = [entry.key for entry in part.entries]
    call = Call(batch.path, batch.body(part.entries), keys, headers, changes=part.key is not None)
    try:
        return [(yield from sender.document(call, until))]
    except TooLargeError:
        if len(part.entries) == 1:
            raise
    middle = len(part.entries) // 2
    halves = [
        Part(entries, None if part.key is None else part.key + mark)
        for entries, mark in ((part.entries[:middle], "a"), (part.entries[middle:], "b"))
    ]
    outcomes = []
    for half in halves:
        try:
            documents = yield from _halving(sender, batch, half, until)
        except TarantKVError as error:
            outcomes.append(Outcome(begun=True, error=error))
            if is_hopeless(error):
                break
        else:
            outcomes.append(Outcome(begun=True, value=documents))
    if all(outcome.error is None for outcome in outcomes):
        return [document for outcome in outcomes for document in outcome.value]
    raise together(halves, outcomes)


def together(parts: Sequence[Part], outcomes: Sequence[Outcome]) -> TarantKVError:
    """The error of a batch with failed parts: the worst one, with the outcomes of the keys of all parts."""
    errors = [outcome.error for outcome in outcomes if outcome.error is not None]
    worst = min(errors, key=_rank)
    if not isinstance(worst, TarantKVError):
        return _unforeseen(worst)
    failed: dict[str, str] = {}
    applied: list[str] = []
    problem: dict[str, Any] = dict(worst.problem)
    for number, part in enumerate(parts):
        outcome = outcomes[number] if number < len(outcomes) else None
        keys = [entry.key for entry in part.entries]
        if outcome is None or not outcome.begun:
            failed.update(dict.fromkeys(keys, NOT_READ if part.key is None else NOT_APPLIED))
        elif isinstance(outcome.error, TarantKVError):
            failed.update(outcome.error.failed)
            applied += outcome.error.applied
            _join(problem, outcome.error.problem)
        elif part.key is not None:
            applied += keys
            for document in outcome.value:
                _join(problem, document)
    error = type(worst)(worst.detail, problem=problem, status=worst.status, retry_after=worst.retry_after)
    error.failed, error.applied = failed, applied
    error.__cause__ = worst
    return error


def _join(problem: dict[str, Any], other: dict[str, Any]) -> None:
    """Add what another part's problem says of its keys."""
    for member in ("versions", "current", "data", "failed"):
        if isinstance(other.get(member), dict):
            problem[member] = {**(problem.get(member) or {}), **other[member]}


def _rank(error: BaseException) -> float:
    if not isinstance(error, TarantKVError):
        return -1
    found = [position for position, kind in enumerate(_RANK) if isinstance(error, kind)]
    return found[0] if found else len(_RANK) - 1.5


def _unforeseen(error: BaseException) -> TarantKVError:
    found = InternalError(f"the client failed: {error!r}")
    found.__cause__ = error
    return found
