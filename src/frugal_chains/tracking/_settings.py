"""The options of a request that a provider's prompt cache goes by."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

_SETTINGS: Final[Sequence[tuple[str, Sequence[Sequence[str]]]]] = (
    ("tool_choice", (("tool_choice",),)),
    ("thinking", (("thinking",), ("thinking_dict",))),
    ("effort", (("reasoning_effort",), ("reasoning", "effort"), ("output_config", "effort"))),
    ("format", (("response_format",), ("text", "format"), ("output_config", "format"))),
    ("verbosity", (("verbosity",), ("text", "verbosity"))),
    ("speed", (("speed",),)),
    ("parallel_tool_calls", (("parallel_tool_calls",),)),
    ("cache_key", (("prompt_cache_key",),)),
)
"""By the names of `CacheControls.resets`: where requests have them, in the providers' own words and
in those of the frameworks' classes."""
_ALWAYS: Final = frozenset({"tool_choice", "thinking", "effort"})
"""Those that are kept also where they are not set: to set them is a change."""


def cache_settings(*places: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """What of a request's options the provider's cache goes by, each as text.

    Args:
        places: Where options stand; the first that has one decides.
    """
    found: list[tuple[str, str]] = []
    for name, ways in _SETTINGS:
        value = next(
            (value for place in places for way in ways if (value := _at(place, way)) is not None),
            None,
        )
        if value is not None or name in _ALWAYS:
            text = json.dumps(value, sort_keys=True, default=lambda other: type(other).__name__)
            found.append((name, text))
    return tuple(found)


def _at(place: Any, way: Sequence[str]) -> Any:
    for name in way:
        place = place.get(name) if isinstance(place, Mapping) else None
    return place
