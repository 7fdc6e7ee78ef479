"""The effects that the core asks of a front end. The core does no input and output: its steps are generators that yield
them.

A front end runs each effect and sends the result back into the generator, or throws `TransportError` into it:

- `Send` a request: its `Response`;
- `Sleep` for some seconds: None;
- `Alone`: run these steps while no others of the same client run alone: their result, or `UnreachableError` if the
  others have not ended in time;
- `Together`: run these steps, at most `limit` at a time: an `Outcome` for each;
- `Open` a request whose answer comes in pieces: a `Stream`;
- `Read` the next piece of it: bytes, none at its end;
- `Shut` it: None.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any, NamedTuple, TypeAlias, TypeVar

from tarantkv.wire import Request, Response

T = TypeVar("T")


class Send(NamedTuple):
    """Send a request and read its complete answer."""

    request: Request


class Sleep(NamedTuple):
    """Wait."""

    seconds: float


class Alone(NamedTuple):
    """Run steps while no other steps run alone; wait `timeout` seconds for those."""

    steps: Steps[Any]
    timeout: float


class Together(NamedTuple):
    """Run steps in parallel. When `stop` returns true for an error, no further ones are begun."""

    steps: Sequence[Steps[Any]]
    limit: int
    stop: Callable[[BaseException], bool]


class Stream(NamedTuple):
    """A running answer. `handle` belongs to the transport."""

    head: Response
    handle: Any


class Open(NamedTuple):
    """Send a request and read the head of its answer."""

    request: Request


class Read(NamedTuple):
    """The next piece of an answer, within `timeout` seconds."""

    stream: Stream
    timeout: float


class Shut(NamedTuple):
    """End an answer, whether or not all of it was read."""

    stream: Stream


class Outcome(NamedTuple):
    """The result of steps: a value, or an error. Neither: they were not begun."""

    begun: bool
    value: Any = None
    error: BaseException | None = None


Effect: TypeAlias = Send | Sleep | Alone | Together | Open | Read | Shut
Steps: TypeAlias = Generator[Effect, Any, T]

NOT_BEGUN = Outcome(begun=False)
