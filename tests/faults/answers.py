"""Writes what the answer to one attempt says about a call into the call's record.

An answer that no api may give, whatever fault there is, raises an `AssertionError`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from api.http.problems import TYPE_PREFIX, Kind
from tests.faults.history import ABSENT, NEVER, NOTHING_TOLD, Action, Call, Fate, Told
from tests.faults.model import CONDITION_FAILED, NOT_A_NUMBER, OUT_OF_RANGE

DEADLINE_S = 5.0
"""The default of TARANTKV_REQUEST_TIMEOUT_S."""

_CONDITION_FAILED = f"{TYPE_PREFIX}condition-failed"
_REFUSALS = dict.fromkeys((CONDITION_FAILED, NOT_A_NUMBER, OUT_OF_RANGE), Fate.REFUSED)

_FATES: Mapping[bool, Mapping[str, Fate]] = {
    False: {"not_applied": Fate.NEVER, "unknown": Fate.UNKNOWN, **_REFUSALS},
    True: {"not_read": Fate.NEVER},
}
"""The meaning of the word in an answer for a key that failed, for changes and for reads."""


@dataclass(frozen=True)
class Answers:
    """How to interpret the answers of a run.

    `skew_s`: how far clocks differ. `refusals`: a 500 `database-refused` is an expected answer.
    `garbled`: requests and answers may be damaged on the way, so a 4xx is an expected answer.
    """

    skew_s: float
    refusals: bool
    garbled: bool
    wall_s: float
    """Seconds to add to the history's time to get the time of day."""

    def broken(self, call: Call, how: str, begun_s: float = 0.0) -> None:
        """Record an attempt without an answer: the api may work on it until its deadline."""
        judge(call, f"broken ({how})", Fate.UNKNOWN)
        call.latest = call.answered + begun_s + DEADLINE_S + self.skew_s

    def take(self, call: Call, status: int, document: Mapping[str, Any]) -> None:
        """Record an attempt that was answered."""
        match status:
            case 200:
                judge(call, "200", Fate.HAPPENED)
                call.deleted = document.get("deleted")
                if call.scan:
                    document = _as_read(call, document)
                if call.action is Action.READ:
                    self._read(call, document)
            case 409 if document["type"] == _CONDITION_FAILED:
                self._failures(call, status, document)
                if Fate.REFUSED not in call.fates.values() or {Fate.NEVER, Fate.UNKNOWN} & {*call.fates.values()}:
                    raise AssertionError(f"a 409 without a failed condition: {document}")
            case 503 | 504:
                self._failures(call, status, document)
            case 500 if self.refusals and document["type"] == Kind.DATABASE_REFUSED.urn:
                self._failures(call, 500, document)
            case _:
                raise AssertionError(f"{call.action} answered {status}: {document}")
        self._tell(call, document)

    def _read(self, call: Call, document: Mapping[str, Any]) -> None:
        missing, failed = document.get("not_found", []), document.get("failed", {})
        if sorted([*document["data"], *missing, *failed]) != sorted(call.keys):
            raise AssertionError(f"read {call.keys}, answered {document}")
        if bool(failed) != (document.get("status") == "partial") or (failed and not call.partial):
            raise AssertionError(f"a part of the keys was read: {document}")
        call.seen = {**document["data"], **dict.fromkeys(missing)}
        if failed:
            # For the client it failed in part, as it would without `partial`.
            call.answers[-1] = "503"

    def _failures(self, call: Call, status: int, document: Mapping[str, Any]) -> None:
        failed = document.get("failed")
        # If there is no list `failed`, nothing was sent.
        judge(call, str(status), Fate.HAPPENED if failed is not None else Fate.NEVER)
        if failed is None and status in {409, 504}:
            raise AssertionError(f"a {status} does not name its keys: {document}")
        for key, said in (failed or {}).items():
            call.fates[key] = _FATES[call.action is Action.READ][said]
            if call.fates[key] is Fate.REFUSED:
                current = document.get("current", {}).get(key)
                if said == CONDITION_FAILED and current is None and call.action is not Action.INCREMENT:
                    raise AssertionError(f"the answer does not have the version of {key}: {document}")
                version = None if current is None else current.get("version", ABSENT)
                call.told[key] = Told(current=version, refusal=said)
        # A 504 is sent a little before the deadline or after it.
        call.latest = max(call.latest, call.answered + self.skew_s)

    def _tell(self, call: Call, document: Mapping[str, Any]) -> None:
        """Record what the answer says beyond the outcome, and require all its mandatory members."""
        whole = call.succeeded
        for key in call.keys:
            served = call.seen.get(key) is not None if call.action is Action.READ else call.fates[key] is Fate.HAPPENED
            if not served:
                continue
            told = call.told.get(key, NOTHING_TOLD)
            match call.action:
                case Action.READ if call.asks_versions:
                    meta = document["meta"][key]
                    ends = meta["expires_at"] - self.wall_s if "expires_at" in meta else NEVER
                    told = Told(meta["version"], ends=ends)
                case Action.WRITE if call.asks_versions and (whole or key in document.get("versions", {})):
                    told = Told(document["versions"][key])
                case Action.INCREMENT if whole or key in document.get("data", {}):
                    told = Told(number=document["data"][key])
                case Action.TOUCH if whole:
                    told = Told(found=key not in document.get("not_found", []))
            if told != NOTHING_TOLD:
                call.told[key] = told
        found = sum(bool(told.found) for told in call.told.values())
        if call.action is Action.TOUCH and whole and document["touched"] != found:
            raise AssertionError(f"touched {call.keys}, answered {document}")


def _as_read(call: Call, page: Mapping[str, Any]) -> dict[str, Any]:
    """The page of a scan as the answer of a read: keys that it does not have are absent."""
    items = {item["key"]: item for item in page["items"]}
    if not page["complete"] or list(items) != sorted(item["key"] for item in page["items"]):
        raise AssertionError(f"a page is incomplete or not in order: {page}")
    found = {key: items[key] for key in call.keys if key in items}
    meta = {
        key: {name: item[name] for name in ("version", "expires_at") if name in item} for key, item in found.items()
    }
    return {
        "data": {key: item["value"] for key, item in found.items()},
        "not_found": [key for key in call.keys if key not in items],
        "meta": meta,
    }


def judge(call: Call, answer: str, fate: Fate) -> None:
    """Record the same for all keys of a call."""
    call.answered = time.monotonic()
    call.answers.append(answer)
    call.fates = dict.fromkeys(call.keys, fate)
