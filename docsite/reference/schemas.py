"""Describes JSON Schemas as text, as far as the OpenAPI document uses them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Schema = Mapping[str, Any]
_DEPTH = 3
_VALUES = ("Value", "KeptValue")
"""The schemas of stored values, which contain themselves and so are not expanded."""


class Schemas:
    """The schemas of a document."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document

    def resolved(self, one: Schema) -> Schema:
        """The schema that a reference names; any other schema unchanged."""
        while "$ref" in one:
            found: Any = self._document
            for word in one["$ref"].removeprefix("#/").split("/"):
                found = found[word]
            one = found
        return one

    def rows(self, schema: Schema, prefix: str = "", depth: int = 0) -> Iterator[list[str]]:
        """A row for each member: name, type and meaning. A member of a member has the outer name as its prefix."""
        schema = self.resolved(schema)
        required = schema.get("required", ())
        for name, member in schema.get("properties", {}).items():
            one = self.resolved(member)
            shown = f"`{prefix}{name}`" + (", required" if name in required else "")
            yield [shown, self.kind(member), one.get("description", "")]
            if depth < _DEPTH:
                yield from self._inside(one, f"{prefix}{name}", depth)

    def _inside(self, one: Schema, name: str, depth: int) -> Iterator[list[str]]:
        if one.get("properties"):
            yield from self.rows(one, f"{name}.", depth + 1)
        elif self._members(one.get("items")):
            yield from self.rows(one["items"], f"{name}[].", depth + 1)
        elif self._members(one.get("additionalProperties")):
            yield from self.rows(one["additionalProperties"], f"{name}.*.", depth + 1)

    def _members(self, one: Any) -> bool:
        return isinstance(one, Mapping) and bool(self.resolved(one).get("properties"))

    def kind(self, schema: Schema) -> str:
        """A type with its bounds."""
        if schema.get("$ref", "").rpartition("/")[2] in _VALUES:
            return "value"
        schema = self.resolved(schema)
        for word in ("anyOf", "oneOf"):
            if word in schema:
                return " or ".join(dict.fromkeys(self.kind(one) for one in schema[word]))
        if "enum" in schema:
            return " or ".join(f"`{_json(value)}`" for value in schema["enum"])
        if "const" in schema:
            return f"`{_json(schema['const'])}`"
        kinds = schema.get("type", "any")
        kinds = [kinds] if isinstance(kinds, str) else kinds
        bounds = ", ".join(_bounds(schema))
        return " or ".join(self._one(kind, schema) for kind in kinds) + (f" ({bounds})" if bounds else "")

    def _one(self, kind: str, schema: Schema) -> str:
        if kind == "array" and schema.get("items"):
            return f"array of {self.kind(schema['items'])}"
        if kind == "object" and "properties" not in schema and isinstance(schema.get("additionalProperties"), Mapping):
            return f"object by key of {self.kind(schema['additionalProperties'])}"
        return kind


def text_of(call: Schema) -> str:
    """A call's summary and description."""
    summary = call["summary"].rstrip(".")
    return f"{summary}. {call['description']}" if call.get("description") else f"{summary}."


def _bounds(schema: Schema) -> Iterator[str]:
    pairs = [
        ("exclusiveMinimum", "over {}"),
        ("minimum", "from {}"),
        ("maximum", "to {}"),
        ("minLength", "{} or more characters"),
        ("maxLength", "at most {} characters"),
        ("minItems", "{} or more"),
        ("maxItems", "at most {}"),
        ("minProperties", "{} or more"),
        ("maxProperties", "at most {}"),
    ]
    for name, text in pairs:
        if name in schema:
            yield text.format(schema[name])


def _json(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)
