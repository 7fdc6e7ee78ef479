"""Machines on one machine: network namespaces, each with an address of its own, and a router that can drop packets.

The sender of a dropped packet does not notice it, as when a cable is pulled or a machine has lost its power: no
connection is refused or closed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from types import TracebackType
from typing import Self

HUB = 0
"""The number of the machine of the tests themselves; the others count from 1."""

_TIMEOUT_S = 20.0


def why_not() -> str | None:
    """What this machine lacks for namespaces; None: it lacks nothing."""
    if os.geteuid() != 0:
        return "network namespaces are made by root alone"
    for program in ("ip", "nsenter"):
        if shutil.which(program) is None:
            return f"{program} is not installed"
    done = subprocess.run(["unshare", "--net", "true"], capture_output=True, timeout=_TIMEOUT_S, check=False)
    return None if done.returncode == 0 else f"no network namespace can be made here: {done.stderr.decode().strip()}"


class Network:
    """A router and machines around it, inside a `with` block."""

    def __init__(self, machines: int) -> None:
        self.machines = tuple(range(1, machines + 1))
        # The process id makes a prefix and a network that no other test uses.
        self._prefix = f"kv{os.getpid() % 1_000_000}"
        self._network = f"10.{128 + os.getpid() % 100}"
        self._dropped: list[tuple[int, int]] = []

    def address(self, machine: int) -> str:
        """The address of a machine."""
        return f"{self._network}.{machine}.2"

    def inside(self, machine: int) -> tuple[str, ...]:
        """The words before the command of a program on a machine."""
        return () if machine == HUB else ("nsenter", f"--net=/run/netns/{self._prefix}-{machine}", "--")

    def cut(self, some: Sequence[int], others: Sequence[int]) -> None:
        """Drop all packets between some machines and others, in both directions."""
        for one in some:
            for other in others:
                for way in ((one, other), (other, one)):
                    if way not in self._dropped:
                        self._router("rule", "add", *self._between(way), "blackhole")
                        self._dropped.append(way)

    def heal(self) -> None:
        """Drop no more packets."""
        while self._dropped:
            self._router("rule", "del", *self._between(self._dropped.pop()), "blackhole")

    def __enter__(self) -> Self:
        try:
            _ip("netns", "add", f"{self._prefix}-r")
            self._run("sysctl", "-qw", "net.ipv4.ip_forward=1")
            for machine in (HUB, *self.machines):
                self._plug(machine)
            _ip("route", "add", f"{self._network}.0.0/16", "via", f"{self._network}.{HUB}.1")
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._remove()

    def _plug(self, machine: int) -> None:
        """Make a machine, except the hub, and connect it to the router."""
        own, theirs, router = f"{self._prefix}m{machine}", f"{self._prefix}r{machine}", f"{self._prefix}-r"
        inside: tuple[str, ...] = ()
        _ip("link", "add", own, "type", "veth", "peer", "name", theirs, "netns", router)
        if machine != HUB:
            space = f"{self._prefix}-{machine}"
            _ip("netns", "add", space)
            _ip("link", "set", own, "netns", space)
            inside = ("-n", space)
            _ip(*inside, "link", "set", "lo", "up")
        _ip(*inside, "addr", "add", f"{self.address(machine)}/30", "dev", own)
        _ip(*inside, "link", "set", own, "up")
        self._router("addr", "add", f"{self._network}.{machine}.1/30", "dev", theirs)
        self._router("link", "set", theirs, "up")
        if machine != HUB:
            _ip(*inside, "route", "add", "default", "via", f"{self._network}.{machine}.1")

    def _remove(self) -> None:
        """Remove the namespaces: their devices and routes are removed with them."""
        for space in (f"{self._prefix}-{name}" for name in ("r", *self.machines)):
            subprocess.run(["ip", "netns", "del", space], capture_output=True, timeout=_TIMEOUT_S, check=False)

    def _between(self, way: tuple[int, int]) -> tuple[str, ...]:
        return ("from", self.address(way[0]), "to", self.address(way[1]))

    def _router(self, *arguments: str) -> None:
        _ip("-n", f"{self._prefix}-r", *arguments)

    def _run(self, *command: str) -> None:
        _checked("nsenter", f"--net=/run/netns/{self._prefix}-r", "--", *command)


def _ip(*arguments: str) -> None:
    _checked("ip", *arguments)


def _checked(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
