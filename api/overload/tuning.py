"""Every constant of the protection against overload: what it is for, and what was measured without it, if anything.

"Overload" is `make overload`: three times the capacity, batches of 100 or 1,000 keys, both tiers on two processors.
What a user may set is no constant: see `BatchSettings`.
"""

from __future__ import annotations

# ---- the gate: docs/adr/0011-a-gate-with-a-fair-queue.md

STARTS_PER_TURN = 16
"""Small requests that one turn of the event loop starts: some milliseconds' work, so that a health check never waits
for longer."""

BYTES_PER_START = 2048
"""A body counts as one start more for each of these: one turn does not decode several large bodies."""

BURST_S = 1.0
"""A queue that has not been empty for longer is no burst any more: its longest wait is divided by `BURST_SHARE`."""

BREAK_S = 0.2
"""A queue that was empty for longer begins anew: what comes next may be a burst, and nobody knows its rate."""

BURST_SHARE = 5
"""A queue that never empties serves nobody: it only makes everybody late (after "controlled delay", Nichols and
Jacobson, 2012, and its use in Maurer, "Fail at Scale", 2015). With the rate (`WINDOW_S`) it brought half of the answers
under overload from more than 0.7 s to less than 0.2 s."""

SHORT_TURNS = 2
"""A user with no more entries than these turns start has no backlog: 32 clients that each wait for their answer never
empty the queue. Batches of 1,000 keys from that many were rejected on a slow machine, four of five, and the rejections
took the time of the others: 103 instead of 245 batches a second."""

WINDOW_S = 0.1
"""The rate of starts is measured over so long. The age of the oldest request alone tells too late that a user sends too
much: at three times the capacity, three times as much came in until that had waited for the longest wait."""

LOOK_AGAIN_S = 0.002
"""Where no request may start, the gate looks again after so long."""

# ---- what is under way for a shard, and what requests hold of the memory

SHARE = 3
"""A user may hold this many times the room that is left (dynamic thresholds, after Choudhury and Hahne, 1998): alone
three quarters, and a user who holds little always finds room."""

LEAST_CHUNKS = 256
"""A shard takes these, where the settings allow them, however slow it was lately: it may have had nothing to do."""

READY_S = 0.1
"""The gate starts waiting requests while a shard has work for less than this. It keeps the shard busy, and what waits
longer waits where it can still be rejected."""

LEAST_READY = 48
"""Chunks for which that holds in any case. With 1,000 keys in a batch they are more than a tenth of a second's work; at
a third of a second's the p99 of the answered was several seconds."""

SMOOTHING = 0.2
"""Weight of a shard's newest rate in its mean, which follows a change in about five measurements. Outcomes come in
bursts, the more so the larger the batches are."""

PAUSE = 3
"""Measurements in a row without any outcome that make a pause of a shard. With one, bursts of outcomes passed for
pauses: with 1,000 keys in a batch the api grew by 612 MiB under overload, and by 73 MiB with three."""

CATCH_UP = 20
"""Measurements for which a shard that has paused may have more under way than its rate allows. Requests that come
while Redis or a shard pauses wait for it and succeed. Without this constant the test of that in
`tests/faults/test_overload.py` had 503s in 4 of 7 runs on a busy machine, with it in none of 7."""

SMALL_BYTES = 4096
"""An answer up to this size always has room. How many reads are under way is bounded elsewhere, and so are these.
Without it small reads of others got 503 for seconds beside one answer that took all memory."""

FEW_KEYS = 16
"""A read of no more keys is tried also while its user's answers take all memory: its answer may be a small one, and a
large one that is dropped has cost 8 MiB at most. Without it a user's small reads got 503 for as long as one read of 64
MiB took, up to 8 s."""
