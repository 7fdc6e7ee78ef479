"""The behaviour of the examples while the store does not answer, which their pages do not show."""

from tarantkv import Client
from tarantkv.transport.plain import PlainTransport
from tarantkv.wire import Request, Response, TransportError

from examples.rate_limiter import Answer, RateLimiter
from tests.client.scripted import LOST, problem


class Answering(PlainTransport):
    """Sends these answers one after the other, and then none."""

    def __init__(self, *answers: Response) -> None:
        super().__init__("http://127.0.0.1:1")
        self.left = list(answers)
        self.timeouts: list[float] = []

    def send(self, request: Request) -> Response:
        self.timeouts.append(request.timeout)
        if not self.left:
            raise TransportError("lost") from LOST
        return self.left.pop(0)


def limiter(*answers: Response) -> tuple[RateLimiter, Answering]:
    transport = Answering(*answers)
    kv = Client(token="t", transport=transport)
    return RateLimiter(kv, limit=3, window_s=60.0, deadline_s=0.05), transport


def test_the_rate_limiter_waits_at_most_its_deadline_while_the_store_is_silent() -> None:
    full = problem(409, "condition-failed", failed={"rate:ada": "condition_failed"})
    refusing, transport = limiter(full)
    assert refusing.ask("ada") == Answer(allowed=False, retry_after_s=60.0)
    silent, _ = limiter()
    assert silent.ask("ada").allowed
    assert max(transport.timeouts) <= 0.05


def test_the_rate_limiter_counts_refusals_of_shards_that_answered() -> None:
    failed = {"rate:ada": "condition_failed", "rate:grace": "unknown"}
    partly, _ = limiter(problem(504, "outcome-unknown", failed=failed))
    assert partly.ask_many({"ada": 1, "grace": 1, "alan": 1}) == {"ada": False, "grace": True, "alan": True}
