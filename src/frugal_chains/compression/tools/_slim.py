"""A tool's definition in fewer tokens that means the same to the model.

Only what is sent gets slimmer: arguments are still checked against the tool's own schema. What may
go is in the tables below, each with why it says nothing.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import lru_cache
from typing import Any, Final, NoReturn

from frugal_chains.compression.tools._fields import words_of
from frugal_chains.compression.tools._wording import (
    parameter_words,
    restates_default,
    tool_words,
)
from frugal_chains.facts import ToolFacts
from frugal_chains.text import terms

Schema = dict[str, Any]

_DEEPEST: Final = 64
"""A schema nested deeper is left as it is; providers take no more than 10 levels."""
_MOST_CHARS: Final = 200_000
"""So is a longer one."""

# Keywords of JSON Schema 2020-12 whose value is what their absence means (core sections 10.3.2.3
# and 10.3.1.2, validation sections 6 and 9.3), and OpenAPI's `nullable`.
_RESTATED: Final[tuple[tuple[str, Any], ...]] = (
    ("additionalProperties", True), ("additionalProperties", {}), ("required", []), ("minItems", 0),
    ("minLength", 0), ("minProperties", 0), ("uniqueItems", False), ("deprecated", False),
    ("readOnly", False), ("writeOnly", False), ("nullable", False), ("description", ""),
)  # fmt: skip
_NOTES: Final = ("$schema", "$comment")
"""Said to readers of the schema, and to validators, which do not see what is sent."""

# Where schemas stand in a schema. Everything else is data: an `enum` may hold a "title".
_ONE: Final = (
    "items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames",
    "unevaluatedItems", "unevaluatedProperties",
)  # fmt: skip
_LISTS: Final = ("anyOf", "oneOf", "allOf", "prefixItems")
_BY_NAME: Final = ("$defs", "definitions", "patternProperties", "dependentSchemas")


@lru_cache(maxsize=1024)
def slim_tool(tool: ToolFacts) -> ToolFacts:
    """The same tool in fewer words; the same tool gives the same bytes everywhere.

    A schema that is no JSON object, is nested too deep or is too long stays as it is.
    """
    description = tool_words(tool.description)
    if not tool.parameters:
        return replace(tool, description=description)
    try:
        return replace(
            tool, description=description, parameters=_slim_text(tool.parameters, tool.description)
        )
    except (ValueError, RecursionError):
        return replace(tool, description=description)


def _slim_text(parameters: str, description: str) -> str:
    if len(parameters) > _MOST_CHARS:
        raise ValueError("too long")
    schema = json.loads(parameters, parse_constant=_refuse, object_pairs_hook=_distinct)
    if not isinstance(schema, dict) or _depth(schema) > _DEEPEST:
        raise ValueError("no schema of a tool's parameters")
    schema = _inlined(schema)
    if _squeezed(schema.get("description")) == _squeezed(description):
        schema.pop("description", None)  # pydantic repeats the docstring here
    schema.pop("title", None)  # the name of a generated class
    text = json.dumps(_slim(schema, "", needed=False), ensure_ascii=False, separators=(",", ":"))
    if "Infinity" in text:
        raise ValueError("a number too large for a float")
    # A lone surrogate cannot be sent as it is.
    return (
        text
        if text.isprintable() or _encodes(text)
        else json.dumps(json.loads(text), separators=(",", ":"))
    )


def _slim(schema: Any, name: str, *, needed: bool) -> Any:
    """A schema, and those in it, without what says nothing."""
    if not isinstance(schema, dict):
        return schema
    slim: Schema = {key: value for key, value in schema.items() if key not in _NOTES}
    if isinstance(slim.get("description"), str):
        slim["description"] = parameter_words(slim["description"], name, schema, needed=needed)
    _drop_notes(slim, schema, name, needed=needed)
    for key, value in _RESTATED:
        if key in slim and slim[key] == value and type(slim[key]) is type(value):
            del slim[key]
    _each_inside(slim, lambda inner, called, must: _slim(inner, called, needed=must))
    return slim


def _drop_notes(slim: Schema, schema: Schema, name: str, *, needed: bool) -> None:
    """Titles, examples and defaults that are told otherwise."""
    told = isinstance(text := schema.get("description"), str) and bool(text.strip())
    title = slim.get("title")
    if isinstance(title, str) and (
        told or set(terms(words_of(title))) <= set(terms(words_of(name)))
    ):
        del slim["title"]
    if told or any(key in schema for key in ("enum", "const", "format", "pattern")):
        for key in ("examples", "example"):
            slim.pop(key, None)
    if "default" not in slim:
        return
    # Absent is what null stands for, of a parameter that may be left out.
    idle = slim["default"] is None and not needed and bool(name)
    if idle or (told and restates_default(slim.get("description", ""), slim["default"])):
        del slim["default"]


def _each_inside(schema: Schema, change: Callable[[Any, str, bool], Any]) -> None:
    """Put in place of every schema directly inside what `change(schema, name, needed)` gives."""
    required = schema.get("required")
    must = required if isinstance(required, list) else []
    properties = schema.get("properties")
    if isinstance(properties, dict):
        schema["properties"] = {
            key: change(value, key, key in must) for key, value in properties.items()
        }
    for key in _BY_NAME:
        if isinstance(named := schema.get(key), dict):
            schema[key] = {each: change(value, "", True) for each, value in named.items()}
    for key in _LISTS:
        if isinstance(several := schema.get(key), list):
            schema[key] = [change(value, "", True) for value in several]
    for key in _ONE:
        if isinstance(schema.get(key), dict):
            schema[key] = change(schema[key], "", True)


def _inlined(schema: Schema) -> Schema:
    """Definitions that are referred to once stand where they are meant; unused ones go."""
    for key in ("$defs", "definitions"):
        named = schema.get(key)
        if not isinstance(named, dict):
            continue
        uses = Counter(_references(schema))
        once = {
            f"#/{key}/{name}": (name, value)
            for name, value in named.items()
            if uses[f"#/{key}/{name}"] == 1
            and isinstance(value, dict)
            # Inside itself or another definition it might end in a circle.
            and not any(_references(value))
        }
        schema = _with(schema, {target: value for target, (_, value) in once.items()})
        left = {
            name: value
            for name, value in schema[key].items()
            if f"#/{key}/{name}" not in once and uses[f"#/{key}/{name}"]
        }
        if left:
            schema[key] = left
        else:
            del schema[key]
    return schema


def _with(schema: Any, targets: dict[str, Schema]) -> Any:
    """The schema with these references replaced; what stands beside one comes first."""
    if not isinstance(schema, dict):
        return schema
    target = targets.get(schema["$ref"]) if isinstance(schema.get("$ref"), str) else None
    beside = {key: value for key, value in schema.items() if key != "$ref"}
    if target is not None and not (beside.keys() - {"description", "title"}) & target.keys():
        schema = {**target, **beside}
    else:
        schema = dict(schema)
    _each_inside(schema, lambda inner, _name, _must: _with(inner, targets))
    return schema


def _references(value: Any) -> Iterator[str]:
    """Every `$ref` in it, wherever: too many only keep a definition where it is."""
    pending = [value]
    while pending:
        each = pending.pop()
        if isinstance(each, dict):
            if isinstance(target := each.get("$ref"), str):
                yield target
            pending += each.values()
        elif isinstance(each, list):
            pending += each


def _depth(value: Any) -> int:
    deepest, pending = 0, [(value, 1)]
    while pending:
        each, depth = pending.pop()
        deepest = max(deepest, depth)
        inner = each.values() if isinstance(each, dict) else each if isinstance(each, list) else ()
        pending += ((value, depth + 1) for value in inner)
    return deepest


def _squeezed(text: object) -> str | None:
    return " ".join(text.split()) if isinstance(text, str) else None


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _distinct(pairs: list[tuple[str, Any]]) -> Schema:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a key twice")
    return made


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")
