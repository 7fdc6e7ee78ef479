"""MessagePack in every form that the format allows, not only the shortest one."""

import struct

from hypothesis import strategies as st

# The head of each form by the bytes of its length.
_TEXT = {1: b"\xd9", 2: b"\xda", 4: b"\xdb"}
_BINARY = {1: b"\xc4", 2: b"\xc5", 4: b"\xc6"}
_ARRAY = {2: b"\xdc", 4: b"\xdd"}
_MAP = {2: b"\xde", 4: b"\xdf"}
_EXTENSION = {1: b"\xc7", 2: b"\xc8", 4: b"\xc9"}
_SIZES = {1: ">B", 2: ">H", 4: ">I"}

texts = st.text(max_size=10).map(str.encode)
numbers = st.one_of(
    st.integers(0, 127).map(lambda n: bytes((n,))),
    st.integers(-32, -1).map(lambda n: struct.pack(">b", n)),
    st.integers(0, 2**8 - 1).map(lambda n: b"\xcc" + struct.pack(">B", n)),
    st.integers(0, 2**16 - 1).map(lambda n: b"\xcd" + struct.pack(">H", n)),
    st.integers(0, 2**32 - 1).map(lambda n: b"\xce" + struct.pack(">I", n)),
    st.integers(0, 2**64 - 1).map(lambda n: b"\xcf" + struct.pack(">Q", n)),
    st.integers(-(2**7), 2**7 - 1).map(lambda n: b"\xd0" + struct.pack(">b", n)),
    st.integers(-(2**15), 2**15 - 1).map(lambda n: b"\xd1" + struct.pack(">h", n)),
    st.integers(-(2**31), 2**31 - 1).map(lambda n: b"\xd2" + struct.pack(">i", n)),
    st.integers(-(2**63), 2**63 - 1).map(lambda n: b"\xd3" + struct.pack(">q", n)),
)
floats = st.one_of(
    st.floats(width=32).map(lambda n: b"\xca" + struct.pack(">f", n)),
    st.floats().map(lambda n: b"\xcb" + struct.pack(">d", n)),
)


@st.composite
def _text(draw: st.DrawFn) -> bytes:
    text = draw(texts | st.binary(max_size=6))
    if len(text) < 32 and draw(st.booleans()):
        return bytes((0xA0 | len(text),)) + text
    return _headed(draw, _TEXT, text)


@st.composite
def _extension(draw: st.DrawFn) -> bytes:
    code = struct.pack(">b", draw(st.integers(-128, 127) | st.sampled_from([-1, 0, 1, 8, 9])))
    fixed = draw(st.sampled_from([None, 1, 2, 4, 8, 16]))
    if fixed is not None:
        return bytes((0xD4 + fixed.bit_length() - 1,)) + code + draw(st.binary(min_size=fixed, max_size=fixed))
    content = draw(st.binary(max_size=20))
    size = draw(st.sampled_from(sorted(_SIZES)))
    return _EXTENSION[size] + struct.pack(_SIZES[size], len(content)) + code + content


def _headed(draw: st.DrawFn, heads: dict[int, bytes], content: bytes) -> bytes:
    size = draw(st.sampled_from(sorted(heads)))
    return heads[size] + struct.pack(_SIZES[size], len(content)) + content


@st.composite
def _binary(draw: st.DrawFn) -> bytes:
    return _headed(draw, _BINARY, draw(st.binary(max_size=10)))


def _counted(draw: st.DrawFn, short: int, heads: dict[int, bytes], count: int) -> bytes:
    if draw(st.booleans()):
        return bytes((short | count,))
    size = draw(st.sampled_from(sorted(heads)))
    return heads[size] + struct.pack(_SIZES[size], count)


@st.composite
def _array(draw: st.DrawFn, inner: st.SearchStrategy[bytes]) -> bytes:
    items = draw(st.lists(inner, max_size=4))
    return _counted(draw, 0x90, _ARRAY, len(items)) + b"".join(items)


@st.composite
def _map(draw: st.DrawFn, inner: st.SearchStrategy[bytes]) -> bytes:
    items = draw(st.lists(st.tuples(_text() | inner, inner), max_size=4))
    return _counted(draw, 0x80, _MAP, len(items)) + b"".join(name + item for name, item in items)


scalars = st.one_of(
    st.sampled_from([b"\xc0", b"\xc2", b"\xc3"]), numbers, floats, _text(), _text(), _binary(), _extension()
)
values = st.recursive(scalars, lambda inner: _array(inner) | _map(inner), max_leaves=10)
"""One value, encoded; its texts may not be UTF-8, its numbers not finite, its extensions anything."""


@st.composite
def writes(draw: st.DrawFn) -> bytes:
    """The body of a write."""
    members = draw(st.lists(st.tuples(_text(), values), max_size=5))
    data = _counted(draw, 0x80, _MAP, len(members))
    return b"\x81\xa4data" + data + b"".join(key + value for key, value in members)
