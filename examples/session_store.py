"""Sessions that expire when unused, and that several requests may change at once: docs/tutorials/session-store.md."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from tarantkv import Client
from tarantkv.errors import ConditionFailedError

Session = dict[str, Any]


class Sessions:
    """Stores sessions under random ids. A session that is not used for `idle_s` seconds expires."""

    def __init__(self, kv: Client, idle_s: float = 1800) -> None:
        self._kv = kv
        self._idle_s = idle_s

    def start(self, user: str) -> str:
        """Create a session; returns its id."""
        name = secrets.token_urlsafe(24)
        self._kv.set(f"session:{name}", {"user": user, "cart": []}, ttl=self._idle_s, if_="absent")
        return name

    def load(self, name: str) -> Session | None:
        """The session, which then expires `idle_s` from now; None if it has ended."""
        key = f"session:{name}"
        if self._kv.touch(key, ttl=self._idle_s).touched == 0:
            return None
        found: Session | None = self._kv.get(key)
        return found

    def change(self, name: str, change: Callable[[Session], None], tries: int = 20) -> Session:
        """Change a session by a function, which may be called more than once. Returns the changed session.

        Raises:
            KeyError: the session has ended.
            RuntimeError: other requests changed it during each try.
        """
        key = f"session:{name}"
        for _ in range(tries):
            found = self._kv.read([key], with_=["version"])
            if key not in found.data:
                raise KeyError(name)
            session: Session = found.data[key]
            change(session)
            version = found.meta[key].version or ""
            try:
                self._kv.set(key, session, ttl=self._idle_s, if_={"version": version})
            except ConditionFailedError:
                # Another request was faster, or the session has ended: read it again.
                time.sleep(secrets.randbelow(10) / 1000)
            else:
                return session
        raise RuntimeError(f"session {name} changes all the time")

    def end(self, name: str) -> None:
        """End a session. It is not an error if it has ended already."""
        self._kv.delete(f"session:{name}")


def put(number: int, session: Session) -> None:
    """Put something into a session's cart."""
    session["cart"].append(number)


def main() -> None:
    """Show what each method does."""
    with Client(
        os.environ["TARANTKV_URL"],
        username=os.environ["TARANTKV_USER"],
        password=os.environ["TARANTKV_PASSWORD"],
    ) as kv:
        sessions = Sessions(kv)
        name = sessions.start("ada")
        print("started for", (sessions.load(name) or {})["user"])

        with ThreadPoolExecutor(4) as requests:
            for number in range(20):
                requests.submit(sessions.change, name, partial(put, number))
        cart = (sessions.load(name) or {})["cart"]
        print(f"{len(cart)} of 20 changes of 4 threads are stored")

        sessions.end(name)
        print("ended:", sessions.load(name))

        short = Sessions(kv, idle_s=0.3)
        name = short.start("grace")
        time.sleep(0.4)
        print("idle for too long:", short.load(name))


if __name__ == "__main__":
    main()
