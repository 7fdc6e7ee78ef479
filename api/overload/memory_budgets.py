"""Limits the memory of one process for request bodies, and for answers that are not sent yet.

A request that is the only holder of memory is always admitted, so that every request within the limits can pass.
"""

from __future__ import annotations

from typing import Self

from api.overload.errors import overloaded
from api.overload.tuning import FEW_KEYS, SHARE, SMALL_BYTES


class BodyBudget:
    """Counts the bytes of the request bodies that are held at a time."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.held = 0

    def share(self) -> BodyShare:
        """The share of one request, empty at first."""
        return BodyShare(self)


class BodyShare:
    """The bytes that one request holds, until they are released or its `with` block ends."""

    __slots__ = ("_budget", "_size")

    def __init__(self, budget: BodyBudget) -> None:
        self._budget = budget
        self._size = 0

    def add(self, size: int) -> None:
        """Count `size` bytes more as held.

        Raises:
            OverloadedError: other bodies hold the memory.
        """
        budget = self._budget
        if budget.held > self._size and budget.held + size > budget.max_bytes:
            raise overloaded("the memory for request bodies is full")
        budget.held += size
        self._size += size

    def release(self) -> None:
        """Release the bytes that are held."""
        self._budget.held -= self._size
        self._size = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


class AnswerBudget:
    """Counts the bytes of answers to reads, from their arrival from the shards until they are sent to the clients.

    The size of an answer is unknown until it comes. An answer beyond the budget is dropped, and its read is rejected; a
    read changes nothing. Each user may hold a share of the budget, as in `api.overload.shard_limits`. One large answer
    may take the whole budget and more; small answers of other users are accepted even then.
    """

    def __init__(self, max_bytes: int, small_bytes: int = SMALL_BYTES) -> None:
        self.max_bytes = max_bytes
        self.small_bytes = small_bytes
        self.held = 0
        self._by_user: dict[str | None, int] = {}

    def share(self, user: str | None, keys: int | None = None) -> AnswerShare:
        """The share of one read, empty at first; `keys` is how many keys it reads at most, if that is known.

        Raises:
            OverloadedError: answers that wait to be sent fill the budget, some of them belong to this user, and the
                read may be of more than a few keys.
        """
        may_be_small = keys is not None and keys <= FEW_KEYS
        if not may_be_small and user in self._by_user and not self.has_room(user, 0):
            raise _no_room()
        return AnswerShare(self, user)

    def has_room(self, user: str | None, size: int) -> bool:
        """Whether `size` bytes more may be held for a user. While nothing is held, any answer may."""
        if not self.held:
            return True
        own = self._by_user.get(user, 0)
        return self.held + size <= self.max_bytes and own <= SHARE * (self.max_bytes - self.held)

    def count(self, user: str | None, size: int) -> None:
        """Add bytes to those that are held, or subtract them if negative."""
        if not size:
            return
        self.held += size
        own = self._by_user.get(user, 0) + size
        if own:
            self._by_user[user] = own
        else:
            del self._by_user[user]


class AnswerShare:
    """The bytes that one read holds until its answer is sent."""

    __slots__ = ("_budget", "_closed", "_size", "_user")

    def __init__(self, budget: AnswerBudget, user: str | None) -> None:
        self._budget = budget
        self._user = user
        self._size = 0
        self._closed = False

    def take(self, size: int) -> bool:
        """Hold `size` bytes more. False: the budget is full, or the read is released already."""
        budget = self._budget
        if self._closed:
            return False
        small = self._size + size <= budget.small_bytes
        if not small and budget.held > self._size and not budget.has_room(self._user, size):
            return False
        self._count(size)
        return True

    def grow(self, size: int) -> None:
        """Hold `size` bytes more, if positive: an encoded answer can be larger than the values it was made from.

        Raises:
            OverloadedError: other answers fill the budget.
        """
        if size > 0 and not self.take(size):
            raise _no_room()

    def keep(self, size: int) -> None:
        """Release the bytes held beyond `size`."""
        if self._size > size:
            self._count(size - self._size)

    def release(self) -> None:
        """Release the bytes that are held; this share can hold none from now on."""
        self._closed = True
        self._count(-self._size)

    def _count(self, size: int) -> None:
        self._budget.count(self._user, size)
        self._size += size


def _no_room() -> Exception:
    return overloaded("the memory for answers that clients have not read yet is full")
