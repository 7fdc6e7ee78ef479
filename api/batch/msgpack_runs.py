"""Patterns of consecutive MessagePack elements, for values that are checked byte by byte.

A pattern matches the elements of large arrays and maps several times faster than Python could check them one by one.
Elements that are rarer or longer match no pattern and are checked separately.
"""

from __future__ import annotations

import re

RUN = 64
"""Elements that a pattern matches at once."""


def _runs() -> tuple[re.Pattern[bytes], re.Pattern[bytes]]:
    """Make the patterns. Each choice in them is decided by the first byte, and none is tried twice."""
    texts = b"|".join(b"\\x%02x[\\x00-\\x7f]{%d}" % (0xA0 | size, size) for size in range(32))
    binaries = b"|".join(b"\\x%02x.{%d}" % (size, size) for size in range(17))
    doubles = rb"[\x7f\xff][\x00-\xef].{6}|[^\x7f\xff].{7}"
    floats = rb"[\x7f\xff][\x00-\x7f]..|[^\x7f\xff]..."
    scalar = b"|".join(
        (
            rb"[\x00-\x7f\xe0-\xff\xc0\xc2\xc3]",
            b"(?=[\\xa0-\\xbf])(?>%b)" % texts,
            b"(?=[\\xca-\\xd3])(?>\\xcb(?>%b)|\\xca(?>%b)" % (doubles, floats),
            rb"[\xcc\xd0].|[\xcd\xd1]..|[\xce\xd2].{4}|[\xcf\xd3].{8})",
            b"\\xc4(?>%b)" % binaries,
            rb"\xd6\xff.{4}|\xd7\xff.{8}|\xc7\x0c\xff.{12}",
        )
    )
    scalar = b"(?>%b)" % scalar
    containers = b"|".join(
        (
            rb"[\x80\x90]",
            *(b"\\x%02x%b{%d}" % (0x90 | size, scalar, size) for size in (1, 2, 3)),
            *(b"\\x%02x%b{%d}" % (0x80 | size, scalar, 2 * size) for size in (1, 2, 3)),
        )
    )
    element = b"(?>(?=[\\x80-\\x9f])(?>%b)|%b)" % (containers, scalar)
    scalars, elements = (re.compile(b"(?>%b{%d})" % (kind, RUN), re.DOTALL) for kind in (scalar, element))
    return scalars, elements


SCALARS, ELEMENTS = _runs()
"""`RUN` scalars; and `RUN` elements, each a scalar or a container of up to three scalars or pairs of them."""
