"""Lanes in `/api/status`: since when each has worked or failed, and its frames of the last seconds."""

from typing import Any

from api.ops.lane_states import LaneStates
from api.queue.lanes import LaneView


def test_a_lane_reports_since_when_it_has_its_state_and_its_recent_frames() -> None:
    now, views = [100.0], [LaneView("a:1", True, ("s2", "s1"), 5), LaneView("b:1", True, (), 0)]
    states = LaneStates(lambda: views, lambda: now[0], lambda: now[0])

    def rows() -> dict[str, dict[str, Any]]:
        return {row["lane"]: row for row in states.rows()}

    assert rows()["a:1"] == {"lane": "a:1", "up": True, "since": 100.0, "shards": ["s1", "s2"], "frames_per_s": 0.0}
    now[0] += 4
    views[:] = [LaneView("a:1", False, (), 5), LaneView("b:1", True, ("s1", "s2"), 40)]
    later = rows()
    assert [(row["up"], row["since"], row["frames_per_s"]) for row in later.values()] == [
        (False, 104.0, 0.0),
        (True, 100.0, 10.0),
    ]
    now[0] += 11
    assert [row["frames_per_s"] for row in states.rows()] == [0.0, 0.0], "older frames do not count any more"
