"""What `/api/status` reports about the last seconds."""

from api.ops.durations import Tally
from api.ops.recent import MAX_PROBLEMS, WINDOW_S, Answers, Problems, Recent, newest, p99_s


def tally(*seconds: float) -> Tally:
    made = Tally()
    for each in seconds:
        made.add(each)
    return made


def test_requests_older_than_the_window_do_not_count() -> None:
    now = 0.0
    recent = Recent(lambda: now)
    for _ in range(30):
        now += 1.0
        answers = Answers()
        answers.add(200, tally(0.0015))
        answers.refused = 3
        recent.add({"s1": tally(0.0015, 0.3)}, 5, answers)
    assert WINDOW_S <= recent.seconds <= WINDOW_S + 1
    assert recent.requests / recent.seconds == 5
    counts = recent.chunks()["s1"]
    assert sum(counts) / recent.seconds == 2
    assert p99_s(counts) == 0.5
    assert sum(recent.answers()["200"]) / recent.seconds == 1
    assert recent.refused / recent.seconds == 3
    now += 100
    recent.add({}, 0, Answers())
    assert recent.requests == 0
    assert recent.chunks() == {}
    assert (recent.answers(), recent.refused) == ({}, 0)


def test_errors_of_clients_do_not_push_out_errors_of_the_server() -> None:
    problems = Problems()
    problems.add(b"ours", "POST", "/api/write", 503, 5.0)
    for number in range(3 * MAX_PROBLEMS):
        problems.add(b"theirs-%d" % number, "GET", "other", 404, 0.001)
    shown = newest([each._asdict() for each in problems.all()])
    assert len(shown) == MAX_PROBLEMS
    assert "ours" in {each["request_id"] for each in shown}
    assert f"theirs-{3 * MAX_PROBLEMS - 1}" in {each["request_id"] for each in shown}
    assert [each["at"] for each in shown] == sorted((each["at"] for each in shown), reverse=True)


def test_many_errors_of_the_server_leave_room_for_those_of_clients() -> None:
    problems = Problems()
    for number in range(3 * MAX_PROBLEMS):
        problems.add(b"ours-%d" % number, "POST", "/api/write", 503, 5.0)
        problems.add(b"theirs-%d" % number, "GET", "other", 404, 0.001)
    shown = newest([each._asdict() for each in problems.all()])
    assert len(shown) == MAX_PROBLEMS
    assert sum(each["status"] >= 500 for each in shown) == MAX_PROBLEMS // 2
