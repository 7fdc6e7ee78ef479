"""Whether this process is about to end."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Lifecycle:
    """Whether the process is about to end; `/health/ready` tells so before anything stops."""

    draining: bool = field(default=False)
