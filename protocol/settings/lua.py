"""`python -m protocol.settings.lua` prints the shard's settings as a Lua module: defaults, bounds and choices.

The output is stored as `tarantool-cluster/tarantkv/setting_defaults.lua`; a test compares that file with it.
"""

from __future__ import annotations

import sys
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta

from protocol.settings.base import variable
from protocol.settings.concerns import CONCERNS

_HEAD = """\
--- The shard's settings: default, bounds and choices of each. Whoever reads them is `tarantkv.settings`.
-- Made by `python -m protocol.settings.lua`: change `protocol/settings/` and make it again.
-- @module tarantkv.setting_defaults

return {
"""


def module() -> str:
    """The Lua module: a table by variable, with `{default, lowest, highest, choices}` for each, as far as the setting
    has them.
    """
    rows = {}
    for concern, readers in CONCERNS.items():
        if "shard" in readers.split(", "):
            hints = get_type_hints(concern, include_extras=True)
            for field in msgspec.structs.fields(concern):
                rows[variable(field.name)] = _row(hints[field.name], field)
    return _HEAD + "".join(f"    {name} = {row},\n" for name, row in sorted(rows.items())) + "}\n"


def _row(hint: Any, field: msgspec.structs.FieldInfo) -> str:
    parts = {} if field.required else {"default": _text(field.default)}
    if get_origin(hint) is Annotated:
        kind, *metas = get_args(hint)
        for meta in metas:
            if isinstance(meta, Meta):
                parts |= {} if meta.ge is None else {"lowest": _text(meta.ge)}
                parts |= {} if meta.le is None else {"highest": _text(meta.le)}
        if get_origin(kind) is Literal:
            parts["choices"] = "{" + ", ".join(map(_text, get_args(kind))) + "}"
    return "{" + ", ".join(f"{name} = {value}" for name, value in parts.items()) + "}"


def _text(value: Any) -> str:
    """A value in Lua's syntax. Our texts need no escapes; a test would fail for one that does."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"'{value}'" if isinstance(value, str) else f"{value:g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    sys.stdout.write(module())
