"""The settings and their rules as Markdown, for `docs/settings.md`."""

from __future__ import annotations

from typing import get_args, get_type_hints

import msgspec
from msgspec import Meta

from protocol.settings.base import variable
from protocol.settings.concerns import CONCERNS, TIERS, fields_of
from protocol.settings.cross_checks import RULES


def table() -> str:
    """Every setting with its readers, default and meaning."""
    lines = {}
    tiers = {tier: fields_of(tier) for tier in TIERS}
    for concern in CONCERNS:
        hints = get_type_hints(concern, include_extras=True)
        for field in msgspec.structs.fields(concern):
            metas = [meta for meta in get_args(hints[field.name]) if isinstance(meta, Meta)]
            meaning = next(meta.description for meta in reversed(metas) if meta.description)
            shown = f"`{field.default}`" if field.default != "" else "empty"
            default = "required" if field.required else shown
            readers = ", ".join(tier for tier, fields in tiers.items() if field.name in fields)
            lines[field.name] = f"| `{variable(field.name)}` | {readers} | {default} | {meaning} |"
    return "\n".join(["| setting | read by | default | meaning |", "|---|---|---|---|", *sorted(lines.values())]) + "\n"


def rules() -> str:
    """Every rule that settings must follow together."""
    lines = [f"| {', '.join(f'`{variable(name)}`' for name in rule.fields)} | {rule.text} |" for rule in RULES]
    return "\n".join(["| settings | rule |", "|---|---|", *lines]) + "\n"
