"""Runs the core's steps without a server: answers come from a list, waits move a clock."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from tarantkv.calls import Calls
from tarantkv.effects import NOT_BEGUN, Alone, Effect, Open, Outcome, Read, Send, Shut, Sleep, Steps, Stream, Together
from tarantkv.policy import Policy
from tarantkv.session import Credentials, Session
from tarantkv.wire import Request, Response, TransportError, packer, unpacked

T = TypeVar("T")
Reply = Response | TransportError | Callable[[Request], Response]

LOST = TransportError("lost")
NOT_SENT = TransportError("refused", sent=False)
SUCCESS = {"status": "success"}


def ok(document: Any = SUCCESS) -> Response:
    """A success in MessagePack."""
    return Response(200, {"content-type": "application/msgpack"}, packer()(document))


def problem(status: int, kind: str, retry_after: int | None = None, **members: Any) -> Response:
    """A problem document."""
    document = {
        "type": f"urn:tarant-kv:problem:{kind}",
        "title": kind,
        "status": status,
        "request_id": "r-1",
        **members,
    }
    headers = {"content-type": "application/problem+json"}
    if retry_after is not None:
        headers["retry-after"] = str(retry_after)
    return Response(status, headers, json.dumps(document).encode())


class Script:
    """Carries out steps. The last of `replies` answers all further requests; None: there may be no further one."""

    def __init__(
        self, *replies: Reply, policy: Policy | None = None, token: str | None = "t1", login: bool = False
    ) -> None:
        self.now = 100.0
        self.took = 0.0
        self.sent: list[Request] = []
        self.slept: list[float] = []
        self.opened: list[Request] = []
        self.streams: list[list[bytes | TransportError]] = []
        self.stream_lasts = 0.0
        self.stream_status = 200
        self._replies = list(replies)
        ask = (lambda: Credentials("ada", "secret")) if login else None
        self.calls = Calls(Session(token, ask), policy or Policy(), lambda: self.now, lambda: 0.0)

    def bodies(self) -> list[Any]:
        """The documents that were sent."""
        return [unpacked(request.body) for request in self.sent if request.body]

    def run(self, steps: Steps[T]) -> T:
        """Run steps to their end."""
        try:
            effect = next(steps)
            while True:
                try:
                    result = self._carry_out(effect)
                except Exception as error:  # noqa: BLE001 - as the front ends do
                    effect = steps.throw(error)
                else:
                    effect = steps.send(result)
        except StopIteration as end:
            value: T = end.value
            return value

    def _carry_out(self, effect: Effect) -> Any:
        match effect:
            case Send(request):
                self.now += self.took
                self.sent.append(request)
                return self._reply(request)
            case Sleep(seconds):
                self.now += seconds
                self.slept.append(seconds)
            case Alone(steps, _):
                return self.run(steps)
            case Together(steps, _, stop):
                return self._together(steps, stop)
            case Open(request):
                self.opened.append(request)
                return Stream(Response(self.stream_status, {}), self.streams.pop(0))
            case Read(stream, _):
                self.now += self.stream_lasts
                piece = stream.handle.pop(0) if stream.handle else b""
                if isinstance(piece, TransportError):
                    raise piece
                return piece
            case Shut(_):
                pass
        return None

    def _reply(self, request: Request) -> Response:
        reply = self._replies.pop(0) if len(self._replies) > 1 else self._replies[0]
        if isinstance(reply, TransportError):
            raise reply
        return reply if isinstance(reply, Response) else reply(request)

    def _together(self, steps: Sequence[Steps[Any]], stop: Callable[[BaseException], bool]) -> list[Outcome]:
        outcomes = [NOT_BEGUN] * len(steps)
        for position, each in enumerate(steps):
            try:
                outcomes[position] = Outcome(begun=True, value=self.run(each))
            except Exception as error:  # noqa: BLE001 - a front end passes any error into the steps
                outcomes[position] = Outcome(begun=True, error=error)
                if stop(error):
                    break
        return outcomes
