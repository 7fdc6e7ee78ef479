"""Whether this process will end soon."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Lifecycle:
    """Whether the process will end soon; `/health/ready` reports it before anything stops."""

    draining: bool = field(default=False)
