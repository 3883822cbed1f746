"""What else the provider's cache goes by: settings of a call or of its model."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from langchain_frugal.prompt_cache._forms import said_of

_SETTINGS: Final[Mapping[str, Sequence[str]]] = {
    "tool_choice": ("tool_choice",),
    "thinking": ("thinking",),
    "effort": ("reasoning_effort", "effort", "output_config", "reasoning"),
    "format": ("response_format",),
    "speed": ("speed",),
    "service_tier": ("service_tier",),
    "verbosity": ("verbosity",),
    "parallel_tool_calls": ("parallel_tool_calls",),
}
"""By name of a setting: the keywords and fields in which it may be said."""


def settings_of(settings: Mapping[str, Any], model: Any) -> dict[str, str]:
    """What else the provider's cache goes by, by the names of `CacheControls.resets`."""
    found: dict[str, str] = {}
    for name, keys in _SETTINGS.items():
        values = [said_of(model, settings, key) for key in keys]
        if any(value is not None for value in values):
            found[name] = json.dumps(values, default=repr, sort_keys=True)
    return found
