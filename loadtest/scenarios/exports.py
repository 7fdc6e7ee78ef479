"""An export during imports: lines are imported, and exports of the same prefix must have all lines that existed
before.
"""

from __future__ import annotations

import json
import secrets

from locust import constant, task

from loadtest.scenarios.client import KvUser

_LINES = 500
_IMPORTS = 10
_LIMIT = 100


class Exports(KvUser):
    """Imports 500 lines at a time, and checks that exports and scans have every line that existed when they began."""

    wait_time = constant(0.1)
    weight = 1

    def on_start(self) -> None:
        super().on_start()
        self._imported: dict[str, int] = {}
        self._next = 0

    @task(2)
    def import_some(self) -> None:
        if self._next >= _LINES * _IMPORTS:
            self.remove(self._imported)
            self._imported, self._next = {}, 0
        data = {f"{self.prefix}{number:08}": number for number in range(self._next, self._next + _LINES)}
        self._next += _LINES
        body = "".join(json.dumps({"key": key, "value": value, "ttl": 600}) + "\n" for key, value in data.items())
        headers = {"Content-Type": "application/x-ndjson", "Idempotency-Key": secrets.token_hex(16)}
        done = self.answer("/api/import", body, name="import 500 lines", headers=headers)
        if done is not None and done["applied"] == _LINES:
            self._imported |= data

    @task(1)
    def export_all(self) -> None:
        text = self.text(f"/api/export?prefix={self.prefix}", name="export a prefix")
        if text is None:
            return
        lines = [json.loads(line) for line in text.splitlines()]
        items = {line["key"]: line["value"] for line in lines if "key" in line}
        keys = [line["key"] for line in lines if "key" in line]
        whole = bool(lines) and lines[-1] == {"end": True, "items": len(items)}
        if not whole or keys != sorted(set(keys)) or any(items.get(key) != n for key, n in self._imported.items()):
            self.complain("export a prefix", "keys are missing, repeated or out of order, or there is no end")

    @task(1)
    def scan_all(self) -> None:
        found: list[str] = []
        content: dict[str, object] = {"prefix": self.prefix, "limit": _LIMIT, "values": False}
        while True:
            page = self.answer("/api/scan", content, name="scan 100 keys")
            if page is None:
                return
            found += [item["key"] for item in page["items"]]
            if page["complete"]:
                break
            content = {"cursor": page["cursor"], "limit": _LIMIT}
        if found != sorted(self._imported):
            self.complain("scan 100 keys", f"{len(found)} keys, and {len(self._imported)} were imported")

    def on_stop(self) -> None:
        self.remove(f"{self.prefix}{number:08}" for number in range(self._next))
