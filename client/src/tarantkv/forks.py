"""Objects that a forked process must not share: the process gets connections and locks of its own."""

from __future__ import annotations

import os
from typing import Protocol
from weakref import WeakSet


class Renewable(Protocol):
    """An object that a forked process must renew."""

    def renew_after_fork(self) -> None:
        """Called once in the new process, before it does anything else."""


_renewables: WeakSet[Renewable] = WeakSet()


def renew_after_fork(renewable: Renewable) -> None:
    """Have an object renewed in every process that is forked from now on, as long as the object is in use."""
    _renewables.add(renewable)


def _renew_all() -> None:
    for each in list(_renewables):
        each.renew_after_fork()


# Windows has no fork.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_all)
