"""Which shards readiness names: those that gave no answer when they were last asked."""

import asyncio

from litestar import Litestar
from litestar.testing import TestClient

from api.ops import health, shard_health
from api.ops.shard_health import ShardHealth
from api.overload.errors import OverloadedError
from api.queue.lanes import LaneView

SHARDS = ("s1", "s2", "s3")
LANES = [LaneView("a:1", True, ("s1",)), LaneView("secret.example:2", False, ())]
Answers = dict[str, bool | Exception]


def watched(answers: Answers) -> ShardHealth:
    """The shards' states after one round of questions."""
    watch = ShardHealth(SHARDS, asker(answers))
    asyncio.run(one_round(watch))
    return watch


def asker(answers: Answers) -> shard_health.Ask:
    async def ask(shard: str, _: float) -> bool:
        answer = answers.get(shard, True)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return ask


async def one_round(watch: ShardHealth) -> None:
    task = asyncio.create_task(watch.watch())
    # The first round needs no wait, because every answer comes at once.
    for _ in range(10):
        await asyncio.sleep(0)
    task.cancel()


def test_all_shards_count_as_up_before_the_first_question() -> None:
    assert ShardHealth(SHARDS, asker({})).down == []


def test_shards_that_do_not_answer_are_down_in_the_order_of_the_settings() -> None:
    assert watched({"s3": False, "s1": False}).down == ["s1", "s3"]


def test_a_shard_that_answers_again_is_up() -> None:
    answers: Answers = {"s2": False}
    watch = ShardHealth(SHARDS, asker(answers))
    asyncio.run(one_round(watch))
    assert watch.down == ["s2"]
    answers["s2"] = True
    asyncio.run(one_round(watch))
    assert watch.down == []


def test_a_shard_that_could_not_be_asked_stays_what_it_was() -> None:
    answers: Answers = {"s1": OverloadedError("full"), "s2": False}
    watch = watched(answers)
    assert watch.down == ["s2"]
    answers["s2"] = OverloadedError("full")
    asyncio.run(one_round(watch))
    assert watch.down == ["s2"]


def test_readiness_stays_200_while_a_shard_is_down() -> None:
    app = Litestar(health.routes(watched({"s2": False}), lambda: LANES, lambda: None), openapi_config=None)
    with TestClient(app) as http:
        answer = http.get("/health/ready")
    assert answer.status_code == 200
    assert answer.json() == {
        "status": "ready",
        "shards": list(SHARDS),
        "shards_down": ["s2"],
        "lanes": 2,
        "lanes_down": 1,
    }
