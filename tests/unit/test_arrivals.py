"""The earliest time at which bytes may have arrived at a process that was frozen."""

from api.server.arrivals import CATCH_UP_S, LATE_S, Arrivals

GAP_S = 40.0


def test_while_the_loop_turns_bytes_arrive_when_they_are_read() -> None:
    arrivals = Arrivals(0.0)
    arrivals.tick(0.25)
    assert arrivals.earliest(0.25 + LATE_S, read_before=0.1) == 0.25 + LATE_S


def test_after_a_gap_bytes_may_have_arrived_when_it_began() -> None:
    arrivals = Arrivals(0.0)
    assert arrivals.earliest(GAP_S, read_before=-1.0) == 0.0


def test_a_gap_counts_whether_the_clock_ticks_before_or_after_the_read() -> None:
    arrivals = Arrivals(0.0)
    arrivals.tick(GAP_S)
    assert arrivals.earliest(GAP_S, read_before=-1.0) == 0.0


def test_bytes_on_a_connection_that_was_read_after_the_gap_are_new() -> None:
    arrivals = Arrivals(0.0)
    arrivals.tick(GAP_S)
    assert arrivals.earliest(GAP_S + 0.1, read_before=GAP_S) == GAP_S + 0.1


def test_bytes_on_connections_made_in_a_gap_may_have_arrived_when_it_began() -> None:
    arrivals = Arrivals(0.0)
    arrivals.tick(GAP_S)
    for tick in (0.25, 0.5, 0.75):
        arrivals.connected()
        arrivals.tick(GAP_S + tick)
        assert arrivals.earliest(GAP_S + tick, read_before=float("-inf")) == 0.0
    # In the last interval no connection was made any more.
    arrivals.tick(GAP_S + 1)
    assert arrivals.earliest(GAP_S + 1, read_before=float("-inf")) == GAP_S + 1


def test_a_gap_ends_even_if_new_connections_never_stop() -> None:
    arrivals = Arrivals(0.0)
    arrivals.tick(GAP_S)
    now = GAP_S
    while arrivals.catching_up:
        now += 0.25
        arrivals.connected()
        arrivals.tick(now)
    assert now <= GAP_S + CATCH_UP_S
