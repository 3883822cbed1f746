"""A tool call in one line: its name, its key arguments, and what came of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Final

from frugal_chains.facts import ToolCallFacts

LOOKED_AT: Final = 20_000
"""Characters of arguments or of a result that are parsed; JSON beyond it is read as prose."""

MAX_VALUE: Final = 48
"""Characters of a value that is kept: an id, a path, a status. Longer ones are texts."""

MAX_LISTED: Final = 4
MAX_ARGUMENTS: Final = 6
MAX_OUTCOME: Final = 4
"""Values per call: more is what the archive and recall are for."""

_TELLING: Final = re.compile(
    r"(?i)(?:id|number|code|ref|key|status|state|error|message|total|price|cost|amount|balance|name"
    r"|email|phone|date|time|path|file|url|result|success|count|reason)s?\Z"
)
"""Ends of the names of fields that a later question asks for. Collected by hand."""
_ERROR: Final = re.compile(r"(?i)\b(?:error|exception|failed|failure|denied|invalid|not found)\b")
_ITEMS: Final = " items"
_BLANKS: Final = re.compile(r"\s+")


def call_line(call: ToolCallFacts, result: str) -> tuple[str, str]:
    """`name(key=value, ...) -> outcome`, and the values alone, one a line.

    The outcome is telling values of a JSON result, a line of it that names an error, or a short
    text as it is; it is left out where there is none.
    """
    asked = _pairs(call.arguments, MAX_ARGUMENTS)
    came = _pairs(result, MAX_OUTCOME) or [("", line) for line in [_outcome(result)] if line]
    line = f"{call.name or 'tool'}({_joined(asked)})" + (f" -> {_joined(came)}" if came else "")
    return line, "\n".join(value for _, value in [*asked, *came])


def _joined(pairs: list[tuple[str, str]]) -> str:
    return ", ".join(f"{key}={value}" if key else value for key, value in pairs)


def _outcome(result: str) -> str:
    text = result[:LOOKED_AT].strip()
    if text[:1] in "[{" or not text:
        return ""
    error = _ERROR.search(text)
    begin = text.rfind("\n", 0, error.start()) + 1 if error is not None else 0
    line = text[begin:].split("\n", 1)[0].strip()
    if len(line) <= 2 * MAX_VALUE:
        return line
    cut = line.rfind(" ", MAX_VALUE, 2 * MAX_VALUE)
    return line[:cut] if cut > 0 else ""


def _pairs(text: str, most: int) -> list[tuple[str, str]]:
    """Short values of a JSON object with their names, telling ones first, else in their order."""
    if len(text) > LOOKED_AT:
        return []
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return []
    found = list(_scalars(value))
    telling = [pair for pair in found if _TELLING.search(pair[0]) is not None]
    others = [p for p in found if p not in telling and not (telling and p[1].endswith(_ITEMS))]
    chosen = frozenset([*telling, *others][:most])
    return [pair for pair in dict.fromkeys(found) if pair in chosen]


def _scalars(value: object) -> Iterator[tuple[str, str]]:
    """Values of an object and of the objects right below it; a list is as many as it has."""
    if not isinstance(value, dict):
        shown = _shown(value)
        if shown and not isinstance(value, list):
            yield "", shown
        elif isinstance(value, list):
            yield "", f"{len(value)}{_ITEMS}"
        return
    for key, held in value.items():
        if isinstance(held, dict):
            for inner, below in held.items():
                if shown := _shown(below):
                    yield str(inner), shown
        elif isinstance(held, list):
            yield str(key), _listed(held)
        elif shown := _shown(held):
            yield str(key), shown


def _listed(held: list[object]) -> str:
    """A short list as it is, of objects too; a long one as how many it has."""
    if not held or len(held) > MAX_LISTED:
        return f"{len(held)}{_ITEMS}"
    whole = "/".join(
        " ".join(filter(None, map(_shown, item.values())))
        if isinstance(item, dict)
        else _shown(item)
        for item in held
    )
    return whole if 0 < len(whole) <= 2 * MAX_VALUE else f"{len(held)}{_ITEMS}"


def _shown(value: object) -> str:
    """A short value as text; empty for all others."""
    if isinstance(value, str):
        text = _BLANKS.sub(" ", value).strip() if len(value) <= 4 * MAX_VALUE else ""
        return text if len(text) <= MAX_VALUE else ""
    if isinstance(value, bool) or value is None:
        return "" if value is None else str(value).lower()
    if isinstance(value, int | float):
        try:
            text = repr(value)
        except ValueError:  # an int of more digits than Python turns into text
            return ""
        return text if len(text) <= MAX_VALUE else ""
    return ""
