"""What a tool says about itself, field by field: the texts that a question is compared with."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from frugal_chains.facts import ToolFacts

_CASE_EDGE: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_MOST_PARTS: Final = 5_000
"""Parts of one schema that are read: a real one has some hundred."""
_MOST_CHARS: Final = 20_000
"""Of each text of a tool: descriptions that providers take are shorter."""
_NESTED: Final = ("items", "additionalProperties", "anyOf", "oneOf", "allOf", "prefixItems")
_NAMED: Final = ("$defs", "definitions")


class Fields(NamedTuple):
    """The texts of one tool; identifiers are cut into words."""

    name: str
    description: str
    parameters: str
    """Names of the parameters, also of nested ones."""
    details: str
    """Descriptions and titles of the parameters."""
    choices: str
    """Values that a parameter may take, where they are listed."""


def words_of(identifier: str) -> str:
    """`getUserByID2`, `get_user-by.id2`: their words with spaces between, case kept."""
    return _CASE_EDGE.sub(" ", re.sub(r"[_.\-/:]+", " ", identifier))


def fields_of(tool: ToolFacts) -> Fields:
    """Read the texts of a tool; a schema that is no JSON object has none."""
    names: list[str] = []
    details: list[str] = []
    choices: list[str] = []
    for name, schema in _properties(tool.parameters):
        names.append(words_of(name))
        details += [
            text for key in ("title", "description") if isinstance(text := schema.get(key), str)
        ]
        listed = schema.get("enum")
        if isinstance(listed, list):
            choices += [words_of(str(choice)) for choice in listed if not isinstance(choice, dict)]
    return Fields(
        words_of(tool.name[:_MOST_CHARS]),
        tool.description[:_MOST_CHARS],
        " ".join(names)[:_MOST_CHARS],
        " ".join(details)[:_MOST_CHARS],
        " ".join(choices)[:_MOST_CHARS],
    )


def _properties(parameters: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Each named parameter, and each schema inside one under the empty name, outermost first."""
    try:
        pending: list[tuple[str, Any]] = [("", json.loads(parameters or "{}"))]
    except (ValueError, RecursionError):
        return
    for _ in range(_MOST_PARTS):
        if not pending:
            return
        name, schema = pending.pop(0)
        if not isinstance(schema, dict):
            continue
        yield name, schema
        properties = schema.get("properties")
        if isinstance(properties, dict):
            pending += properties.items()
        for key in _NAMED:
            if isinstance(inner := schema.get(key), dict):
                pending += (("", each) for each in inner.values())
        for key in _NESTED:
            inner = schema.get(key)
            pending += (("", each) for each in (inner if isinstance(inner, list) else [inner]))
