"""The requests and answers that the core and the transports exchange, and MessagePack."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, TypeAlias

import msgpack

from tarantkv.errors import InvalidKeyError, InvalidRequestError, InvalidValueError

MSGPACK = "application/msgpack"
NDJSON = "application/x-ndjson"


class Request(NamedTuple):
    """A request. `path` begins with a slash; `timeout` is how many seconds it may take from its first byte."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes = b""
    timeout: float = 15.0


class Response(NamedTuple):
    """An answer; names of headers are in lower case. `body` is empty in the head of a stream."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""


class TransportError(Exception):
    """A request got no answer. `sent`: a part of it may have reached the server."""

    def __init__(self, detail: str = "", *, sent: bool = True) -> None:
        super().__init__(detail)
        self.sent = sent


Pack: TypeAlias = Callable[[Any], bytes]


def packer() -> Pack:
    """A function that encodes values as MessagePack; one thread may use it at a time."""
    pack: Pack = msgpack.Packer(use_bin_type=True, buf_size=4096).pack
    return pack


def packed(pack: Pack, value: Any, key: str) -> bytes:
    """A value as MessagePack.

    It accepts only values that the store returns unchanged: no sets, dates, decimals or other classes.

    Raises:
        InvalidValueError: it cannot be stored; the text names the key.
    """
    try:
        encoded = pack(value)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        # UnicodeEncodeError is a ValueError.
        raise InvalidValueError(f"the value of key {key!r} cannot be stored: {error}") from None
    return encoded


def document(members: Mapping[str, Any]) -> bytes:
    """The body of a request that is not a batch.

    Raises:
        InvalidRequestError: a member is of a type that no request has, or a text that UTF-8 cannot express.
    """
    try:
        return packer()(members)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise InvalidRequestError(f"the request cannot be sent: {error}") from None


def packed_key(key: str) -> bytes:
    """A key as MessagePack.

    Raises:
        InvalidKeyError: it is not a text, or UTF-8 cannot express it.
    """
    if not isinstance(key, str):
        raise InvalidKeyError(f"a key is a text, not {type(key).__name__}")
    try:
        encoded = key.encode()
    except UnicodeEncodeError:
        raise InvalidKeyError(f"the key {key!r} has half of a surrogate pair") from None
    size = len(encoded)
    if size < 0x20:
        return bytes((0xA0 | size,)) + encoded
    if size < 0x100:
        return bytes((0xD9, size)) + encoded
    return b"\xdb" + size.to_bytes(4, "big") + encoded


def map_header(size: int) -> bytes:
    """The head of a map of `size` pairs."""
    return bytes((0x80 | size,)) if size < 0x10 else b"\xdf" + size.to_bytes(4, "big")


def array_header(size: int) -> bytes:
    """The head of an array of `size` elements."""
    return bytes((0x90 | size,)) if size < 0x10 else b"\xdd" + size.to_bytes(4, "big")


def unpacked(body: bytes) -> Any:
    """The value in a MessagePack document.

    A map key that is an array becomes a tuple, because Python cannot look up a list. An extension whose type is below
    0, or a timestamp that is none, becomes an `ExtType`.

    Raises:
        ValueError: it is not MessagePack, or not a value of this api.
    """
    try:
        return msgpack.unpackb(body, raw=False, strict_map_key=False)
    except TypeError:
        pass
    except ValueError:
        # Imported here, because hardly any answer needs it.
        from tarantkv.odd_values import unpack_all

        return unpack_all(body)
    try:
        return msgpack.unpackb(body, raw=False, strict_map_key=False, object_pairs_hook=_with_tuples)
    except TypeError:
        # The api stores no such value: bytes were lost on the way.
        raise ValueError("a map key holds a map") from None
    except ValueError:
        from tarantkv.odd_values import unpack_all

        return unpack_all(body)


def _with_tuples(pairs: Iterable[tuple[Any, Any]]) -> dict[Any, Any]:
    return {_hashable(key): value for key, value in pairs}


def _hashable(key: Any) -> Any:
    return tuple(map(_hashable, key)) if isinstance(key, list) else key
