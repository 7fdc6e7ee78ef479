"""How outcomes are put into reply entries of a bounded size."""

from protocol.frames import Outcome
from protocol.operations import Status
from worker.replies import MAX_REPLY_BYTES, parts


def outcome(number: int, size: int) -> Outcome:
    return Outcome(bytes([number]) * 16, Status.OK, b"x" * size)


def cut(*outcomes: Outcome) -> list[list[int]]:
    return [[outcome.id[0] for outcome in part] for part in parts(outcomes)]


def test_outcomes_share_a_reply_up_to_its_bytes() -> None:
    half = MAX_REPLY_BYTES // 2
    assert cut(outcome(1, half), outcome(2, half), outcome(3, 1)) == [[1, 2], [3]]


def test_an_outcome_larger_than_a_reply_goes_alone() -> None:
    assert cut(outcome(1, 1), outcome(2, MAX_REPLY_BYTES + 1), outcome(3, 1)) == [[1], [2], [3]]


def test_no_outcomes_make_no_reply() -> None:
    assert cut() == []
