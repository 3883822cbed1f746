"""The text that a tool definition becomes in the prompt.

OpenAI renders JSON schemas as signatures in its own notation; its cookbook publishes what that
costs for flat schemas ("How to count tokens with tiktoken", section 7, read 2026-11-21). Nested
objects, arrays of objects and `$defs` are counted by the same rule at every level, and what the
rule does not mention is counted as the JSON it is. Other providers are sent JSON.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from frugal_chains.facts import ToolFacts

CountText = Callable[[str], float]

# The cookbook's constants, equal for all the models it covers.
_PROPERTIES_TOKENS = 3
_PROPERTY_TOKENS = 3
_ENUM_TOKENS = -3
_ENUM_ITEM_TOKENS = 3

# Rendered by the rule, or not sent on as text: defaults and titles are dropped from signatures.
_RENDERED = frozenset(
    {"type", "description", "enum", "properties", "items", "required", "title", "default"}
    | {"additionalProperties", "$schema", "strict"}
)


def tool_as_json(tool: ToolFacts) -> str:
    """A tool as it is sent to providers that put the schema itself into the prompt."""
    head = json.dumps({"name": tool.name, "description": tool.description}, ensure_ascii=False)
    return f'{head[:-1]}, "input_schema": {tool.parameters or "{}"}}}'


def function_tokens(tool: ToolFacts, count: CountText, *, start_tokens: int) -> float:
    """Tokens of one tool by OpenAI's rule; `start_tokens` opens each function."""
    total = start_tokens + count(f"{tool.name}:{tool.description.removesuffix('.')}")
    schema = _parsed(tool.parameters)
    return total + (count(tool.parameters) if schema is None else _object_tokens(schema, count))


def _parsed(parameters: str) -> dict[str, Any] | None:
    """The schema as an object; None when it is not one (then its text is counted as it stands)."""
    if not parameters:
        return {}
    try:
        schema = json.loads(parameters)
    except (ValueError, RecursionError):
        return None
    return schema if isinstance(schema, dict) else None


def _object_tokens(schema: dict[str, Any], count: CountText) -> float:
    """An object's own properties, those of its `$defs`, and anything else it carries."""
    total = _leftover_tokens(schema, count)
    pending = [schema, *_objects(schema.get("$defs")), *_objects(schema.get("definitions"))]
    while pending:
        properties = pending.pop().get("properties")
        if not isinstance(properties, dict) or not properties:
            continue
        total += _PROPERTIES_TOKENS
        for name, value in properties.items():
            total += _property_tokens(name, value, count)
            pending += _nested(value)
    return total


def _property_tokens(name: str, value: object, count: CountText) -> float:
    if not isinstance(value, dict):
        return _PROPERTY_TOKENS + count(f"{name}:{json.dumps(value)}")
    description = str(value.get("description", "")).removesuffix(".")
    total = _PROPERTY_TOKENS + count(f"{name}:{value.get('type', '')}:{description}")
    choices = value.get("enum")
    if isinstance(choices, list):
        total += _ENUM_TOKENS
        total += sum(_ENUM_ITEM_TOKENS + count(str(choice)) for choice in choices)
    return total + _leftover_tokens(value, count)


def _nested(value: object) -> Iterator[dict[str, Any]]:
    """The objects inside a property: itself, its items, the items of its items."""
    while isinstance(value, dict):
        if "properties" in value:
            yield value
        value = value.get("items")


def _leftover_tokens(schema: dict[str, Any], count: CountText) -> float:
    hidden = _RENDERED | {"$defs", "definitions"}
    leftover = {key: value for key, value in schema.items() if key not in hidden}
    return count(json.dumps(leftover, ensure_ascii=False)) if leftover else 0.0


def _objects(definitions: object) -> Iterator[dict[str, Any]]:
    if isinstance(definitions, dict):
        yield from (value for value in definitions.values() if isinstance(value, dict))
