"""Single keys with an `Idempotency-Key`: the user sends each request twice, as a client does that lost an answer."""

from __future__ import annotations

import secrets

from locust import between, task

from loadtest.scenarios.client import KvUser


class SingleKeys(KvUser):
    """Every retry must get the first outcome. Without a key a repeated delete would answer 0."""

    wait_time = between(0.005, 0.05)
    weight = 3

    def on_start(self) -> None:
        super().on_start()
        self._key = f"{self.prefix}single"
        self._number = 0

    @task(5)
    def write_twice(self) -> None:
        self._number += 1
        data = {self._key: self._number}
        headers = {"Idempotency-Key": secrets.token_hex(16)}
        self.write(data, name="write 1, idempotent", headers=headers)
        self.write(data, name="write 1, idempotent, again", headers=headers)
        self.read([self._key], data, name="read 1")

    @task(2)
    def delete_twice(self) -> None:
        self.write({self._key: 0}, name="write 1")
        headers = {"Idempotency-Key": secrets.token_hex(16)}
        gone = {"status": "success", "deleted": 1}
        self.post("/api/delete", {"keys": [self._key]}, gone, name="delete 1, idempotent", headers=headers)
        self.post("/api/delete", {"keys": [self._key]}, gone, name="delete 1, idempotent, again", headers=headers)
        self.read([self._key], {}, name="read 1")

    @task(1)
    def use_a_key_for_something_else(self) -> None:
        headers = {"Idempotency-Key": secrets.token_hex(16)}
        self.write({self._key: "first"}, name="write 1, idempotent", headers=headers)
        other = {"data": {self._key: "other"}}
        self.post("/api/write", other, None, status=422, name="reuse an Idempotency-Key", headers=headers)
        self.read([self._key], {self._key: "first"}, name="read 1")

    def on_stop(self) -> None:
        self.remove([self._key])
