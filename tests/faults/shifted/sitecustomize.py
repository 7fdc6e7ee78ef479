"""Lets tests set a Python process's clock wrong: Python imports this first if PYTHONPATH contains its directory.

The eight bytes of the file that `FAULT_CLOCK` names are a double: how many seconds the process's clock is ahead. They
are looked at each time that the process asks for the time. Monotonic time stays as it is, as on a real machine.
"""

import datetime as dt
import mmap
import os
import struct
import time
from pathlib import Path

_OFFSET = struct.Struct("d")

with Path(os.environ["FAULT_CLOCK"]).open("rb") as _file:
    _shared = mmap.mmap(_file.fileno(), _OFFSET.size, prot=mmap.PROT_READ)

_time, _time_ns = time.time, time.time_ns


def _offset_s() -> float:
    (offset,) = _OFFSET.unpack(_shared)
    return float(offset)


class _ShiftedDatetime(dt.datetime):
    @classmethod
    def now(cls, tz: dt.tzinfo | None = None) -> "_ShiftedDatetime":
        return cls.fromtimestamp(time.time(), tz)


time.time = lambda: _time() + _offset_s()
time.time_ns = lambda: _time_ns() + int(_offset_s() * 1e9)
dt.datetime = _ShiftedDatetime  # type: ignore[misc]
