"""Answers of reads as the storage makes them, by a second reading of their format."""

import struct
from collections.abc import Sequence


def answer(values: Sequence[bytes | None]) -> bytes:
    """The answer with these encoded values; None where a key is not there."""
    lengths = [len(value or b"") for value in values]
    return struct.pack(f"<{1 + len(values)}I", len(values), *lengths) + b"".join(value or b"" for value in values)
