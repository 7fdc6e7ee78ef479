"""Settings of compiled modules."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from protocol.settings.base import Settings


class CompiledSettings(Settings, frozen=True, kw_only=True):
    """Whether compiled modules are used."""

    compiled: Annotated[
        Literal["auto", "off", "required"],
        Meta(
            description="Whether to use the modules that `make compiled` made: `auto` if they are there and current, "
            "`off` never, `required` ends the process if it cannot use them."
        ),
    ] = "auto"
