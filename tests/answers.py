"""Makes answers to reads in the storage's format, with a second implementation of this format."""

import struct
from collections.abc import Sequence


def answer(values: Sequence[bytes | None]) -> bytes:
    """The answer with these encoded values; None for an absent key."""
    lengths = [len(value or b"") for value in values]
    return struct.pack(f"<{1 + len(values)}I", len(values), *lengths) + b"".join(value or b"" for value in values)
