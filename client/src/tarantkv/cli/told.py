"""The parts of `GET /api/status` that `status` and `top` show: Redis lanes, and moves of buckets.

Users with `observe` see them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tarantkv.cli.output import printable
from tarantkv.client import Client
from tarantkv.errors import NotAllowedError, RequestError

Record = dict[str, Any]


class Told:
    """Asks for the status, and stops when it is refused; it returns None then."""

    def __init__(self, kv: Client, *, known: bool) -> None:
        self._kv = kv
        self.refused = not known
        """Whether the user may not see it; true from the beginning if no user is logged in."""

    def fresh(self) -> Mapping[str, Any] | None:
        """The present status."""
        if self.refused:
            return None
        try:
            return self._kv.status()
        except (NotAllowedError, RequestError):
            self.refused = True
            return None


def lanes_of(told: Mapping[str, Any]) -> list[Record]:
    """A record for each lane. Older apis report less."""
    records = []
    for lane in told.get("lanes", ()):
        record: Record = {"lane": lane["lane"], "state": "up" if lane["up"] else "down"}
        if "since" in lane:
            record["since"] = lane["since"]
            record["for_s"] = max(0, round(told["at"] - lane["since"]))
        share, used, limit = (lane.get(name) for name in ("share", "memory_used_bytes", "memory_limit_bytes"))
        record["frames_percent"] = None if share is None else round(100 * share, 1)
        record["memory_mib"] = None if used is None else round(used / 2**20, 1)
        record["memory_percent"] = None if used is None or not limit else round(100 * used / limit, 1)
        record["shards"] = ",".join(lane["shards"])
        records.append(record)
    return records


def moves_of(told: Mapping[str, Any]) -> list[Record]:
    """A record for each pair of shards between which buckets move."""
    return [
        {
            "move": f"{move['source']} to {move['target']}",
            "buckets": move["done"],
            "of": move["total"],
            "percent": round(100 * move["done"] / move["total"], 1) if move["total"] else 100.0,
            "left_s": move["left_s"],
            "told_s_ago": move["told_s_ago"],
        }
        for move in told.get("moves", ())
    ]


def lines_of(lanes: list[Record], moves: list[Record]) -> list[str]:
    """Lanes and moves, for the screen of `top`."""
    lines = []
    if lanes:
        lines += ["", f"{'lane':24}{'state':16}{'frames':>10}{'memory':>18}  shards"]
        for lane in lanes:
            state = f"{lane['state']} {span(lane['for_s'])}" if "for_s" in lane else lane["state"]
            frames = "-" if lane["frames_percent"] is None else f"{lane['frames_percent']} %"
            memory = "-" if lane["memory_mib"] is None else f"{lane['memory_mib']} MiB"
            memory += "" if lane["memory_percent"] is None else f" {lane['memory_percent']} %"
            shown = printable(lane["lane"].rpartition("/")[2]), printable(lane["shards"])
            lines.append(f"{shown[0]:24}{state:16}{frames:>10}{memory:>18}  {shown[1]}".rstrip())
    if moves:
        lines += ["", f"{'buckets move':24}{'moved':>16}{'':>10}{'time left':>18}"]
        for move in moves:
            count = f"{move['buckets']} of {move['of']}"
            left = "-" if move["left_s"] is None else span(move["left_s"])
            lines.append(f"{printable(move['move']):24}{count:>16}{move['percent']:>8} %{left:>18}")
    return lines


def span(seconds: float) -> str:
    """A time by its two largest units: `45 s`, `3 min 20 s`, `2 d 5 h`."""
    rest = round(seconds)
    parts: list[str] = []
    for name, size in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        whole, rest = divmod(rest, size)
        if whole or (name == "s" and not parts):
            parts.append(f"{whole} {name}")
    return " ".join(parts[:2])
