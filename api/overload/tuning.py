"""Every constant of the protection against overload: its purpose, and what was measured without it, if anything.

"Overload" is `make overload`: three times the capacity, batches of 100 or 1,000 keys, both tiers on two processors.
Values that an operator may set are in `BatchSettings`.
"""

from __future__ import annotations

# ---- the gate: docs/adr/0011-a-gate-with-a-fair-queue.md

STARTS_PER_TURN = 16
"""Small requests that one turn of the event loop starts: some milliseconds of work, so that a health check never waits
longer."""

BYTES_PER_START = 8192
"""A body counts as one start more for each of these, so that one turn does not decode several large bodies. With 2,048
the frames had fewer chunks: batches of 100 and 1,000 keys took a sixth more CPU time of all tiers than with 6,144, and
writes of 1,000 keys had 0.82 times the requests/s (six pairs)."""

BURST_S = 1.0
"""A queue that has not been empty for this long is not caused by a burst: its longest wait is divided by
`BURST_SHARE`."""

BREAK_S = 0.2
"""If a queue was empty for longer than this, the measurement begins again: the next requests may be a burst, and their
rate is unknown."""

BURST_SHARE = 5
"""A queue that never empties only makes every request late (after "controlled delay", Nichols and Jacobson, 2012, and
its use in Maurer, "Fail at Scale", 2015). With this constant and the rate (`WINDOW_S`), half of the answers under
overload took less than 0.2 s instead of more than 0.7 s."""

SHORT_TURNS = 2
"""A user with no more entries than these turns start has no backlog: 32 clients that each wait for their answer never
empty the queue. Without this constant four of five batches of 1,000 keys from 32 clients were rejected on a slow
machine. The rejections took time from the other batches: 103 instead of 245 were answered in a second."""

WINDOW_S = 0.1
"""The interval in which the rate of starts is measured. The age of the oldest request alone shows too late that a user
sends too much: at three times the capacity, three times as many requests entered until the oldest had waited for the
longest wait."""

LOOK_AGAIN_S = 0.002
"""If no request may start, the gate looks again after this long."""

# ---- the limits of a shard, and of the memory that requests hold

SHARE = 3
"""A user may hold this many times the room that is left (dynamic thresholds, after Choudhury and Hahne, 1998). A single
user gets three quarters, and a user who holds little always finds room."""

LEAST_CHUNKS = 256
"""A shard's limit is never less than this, unless the settings are: a shard that was slow lately may have had nothing
to do."""

READY_S = 0.1
"""The gate starts waiting requests while a shard has less work than this. So the shard is busy, and the other requests
wait at the gate, where they can still be rejected."""

LEAST_READY = 48
"""Chunks for which this holds in any case. With 1,000 keys in a batch they are more than a tenth of a second's work.
With chunks for a third of a second, the p99 of the answered requests was several seconds."""

SMOOTHING = 0.2
"""Weight of a shard's newest rate in its mean, which follows a change in about five measurements. Outcomes come in
bursts, and larger batches make larger bursts."""

PAUSE = 3
"""Measurements without any outcome, in a row, after which a shard counts as paused. With one, gaps between bursts of
outcomes counted as pauses: with 1,000 keys in a batch the api grew by 612 MiB under overload, and by 73 MiB with
three."""

CATCH_UP = 20
"""For this many measurements a shard that has paused may have more chunks waiting than its rate allows: requests that
come while Redis or a shard pauses wait for it and succeed. Without this constant the test of that in
`tests/faults/test_overload.py` had 503s in 4 of 7 runs on a busy machine; with it, in none of 7."""

SMALL_BYTES = 4096
"""An answer up to this size is always accepted. The number of reads is limited elsewhere, so these are bounded, too.
Without this constant, small reads of other users got 503 for seconds beside one answer that took all memory."""

FEW_KEYS = 16
"""A read of this many keys or fewer is tried even while answers of its user fill the budget: its answer may be small,
and a large one that is dropped has cost 8 MiB at most. Without this constant a user's small reads got 503 while one
read of 64 MiB was answered, for up to 8 s."""
