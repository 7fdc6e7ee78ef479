"""Settings of the log."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from protocol.settings.base import Settings


class LogSettings(Settings, frozen=True, kw_only=True):
    """Which messages are logged."""

    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Meta(description="Least severity that is logged, by every process."),
    ] = "info"
