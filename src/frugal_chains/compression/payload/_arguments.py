"""What a tool was asked, in words: what its output is compressed for."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

_MOST_CHARS: Final = 2_000
"""Of a call's arguments: more is a file that is written, not what is looked for."""


def argument_words(arguments: Iterable[tuple[str, Any]]) -> str:
    """Names and values, a line each, without the quotes of JSON.

    Args:
        arguments: Of a call; the name of a positional one is empty. Objects of the application
            say nothing: what they print is not what was asked.
    """
    lines = (f"{name} {_plain(value)}".strip() for name, value in arguments)
    return "\n".join(lines)[:_MOST_CHARS]


def _plain(value: Any) -> str:
    if isinstance(value, str):
        return value[:_MOST_CHARS]
    if not isinstance(value, Mapping | list | tuple | int | float | None):
        return ""
    try:
        found = json.dumps(value, ensure_ascii=False, default=lambda _: "")
    except (TypeError, ValueError, RecursionError):  # keys of other kinds, cyclic, too deep
        return ""
    return found.replace('"', "")[:_MOST_CHARS]
