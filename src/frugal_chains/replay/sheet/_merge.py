"""What a scenario, or a model, says in place of what stands above it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from frugal_chains.replay.sheet._keys import PARTS
from frugal_chains.replay.sheet._tables import BROKEN

# A key of the first group replaces all of the second, and the other way round.
_INSTEAD = (
    (("input_tokens",), PARTS),
    (("static_tokens",), ("static_share",)),
)


def merged(above: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Its own values first. Tables are merged key by key, `[[model]]` as a whole."""
    result = dict(above) | dict(own)
    for key, merge in (("shape", merged_shape), ("classifier", _overlaid)):
        if isinstance(above.get(key), dict) and isinstance(own.get(key), dict):
            result[key] = merge(above[key], own[key])
    return result


def merged_shape(above: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """As `merged`; who says how long the input is, or its static beginning, says it alone."""
    kept = dict(above)
    for one, other in _INSTEAD:
        for given, replaced in ((one, other), (other, one)):
            if any(key in own for key in given):
                kept = {key: value for key, value in kept.items() if key not in replaced}
    return kept | dict(own)


def _overlaid(above: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    return dict(above) | dict(own)


def broken(*values: Any) -> bool:
    return any(value is BROKEN for value in values)
