"""Logins: the user tries each token, so that a login whose token does not work is a failure."""

from __future__ import annotations

from locust import between, task

from loadtest.scenarios.client import KvUser


class Logins(KvUser):
    """Logs in from time to time. There are few of these users: a login takes tens of milliseconds of CPU time on
    purpose.
    """

    wait_time = between(1, 3)
    weight = 1

    @task
    def log_in_and_use_it(self) -> None:
        token = self.log_in()
        if token:
            missing = f"{self.prefix}nothing"
            self.read([missing], {}, name="read with a new token", headers={"Authorization": f"Bearer {token}"})
