"""What the dispatcher takes from Redis; all else of it is tested with a real one."""

from typing import Any

import pytest
import redis

from api.queue.dispatcher import _entries


def test_the_entries_of_a_reply_stream_are_their_ids_and_data() -> None:
    answer = [[b"reply:x", [[b"1-0", [b"f", b"one"]], [b"2-0", [b"f", b"two"]]]]]
    assert _entries(answer) == [(b"1-0", b"f", b"one"), (b"2-0", b"f", b"two")]


@pytest.mark.parametrize(
    "answer", [7, b"text", [7], [b"text"], [[b"reply:x"]], [[b"reply:x", 7]], [[b"reply:x", [[b"1-0", [b"f", 7]]]]]]
)
def test_an_answer_of_another_form_than_asked_for_is_an_error_of_redis(answer: Any) -> None:
    with pytest.raises(redis.RedisError):
        _entries(answer)
