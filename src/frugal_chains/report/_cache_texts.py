"""What a warning about a prompt cache says: the most likely cause, and what to do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from frugal_chains.report._cache import Cause, ModelCache

_WHY: Final[Mapping[Cause, str]] = {
    "not marked": (
        "nothing was written: requests do not mark what to keep, or what they mark is shorter than "
        "{minimum} tokens"
    ),
    "little marked": (
        "most input was neither read nor written: requests mark a small part of what they repeat"
    ),
    "not read again": (
        "most of it was written and not read again: the beginning of prompts changes between "
        "calls, or pauses are longer than {pause}"
    ),
    "changing prefix": (
        "the provider caches unasked, so the beginning of prompts changes between calls, what they "
        "repeat is shorter than {minimum} tokens, or pauses are longer than {pause}"
    ),
}
_UNKNOWN_PROVIDER: Final = (
    "the beginning of prompts changes between calls, or pauses are longer than the provider keeps "
    "it"
)

_STATIC_FIRST: Final = (
    "put tools, instructions and documents first, byte for byte the same in every call, and dates, "
    "ids and the question last"
)
_ADVICE: Final[Mapping[Cause, str]] = {
    "not marked": "{marking} at the end of what every call repeats",
    "little marked": "{marking} at the end of the history too, not of the system prompt alone",
    "not read again": _STATIC_FIRST + "{longer}",
    "changing prefix": _STATIC_FIRST,
}
_MARKING: Final[Mapping[str, str]] = {
    "cache_control": "set cache_control on the block",
    "cachePoint": "put a cachePoint block",
}
_LONGER: Final[Mapping[str, str]] = {
    "cache_control": "; ask for a time to live of 1h where pauses are long",
    "cachePoint": "; ask for a time to live of 1h where pauses are long",
    "prompt_cache_breakpoint": (
        "; set a prompt_cache_breakpoint behind what stays, as nothing else is matched, and one "
        "prompt_cache_key for the calls that share it"
    ),
}
"""By how requests mark what to keep: see `providers.CacheControls`."""


def cause_text(cache: ModelCache) -> str:
    """Why little was read, as far as totals tell; empty where there is no warning."""
    if cache.cause is None:
        return ""
    unknown = cache.cause == "changing prefix" and cache.control == "none"
    text = _UNKNOWN_PROVIDER if unknown else _WHY[cache.cause]
    return text.format(minimum=minimum_text(cache), pause=_minutes(cache.ttl_s))


def advice(cache: ModelCache) -> str:
    """What to do about it; empty where there is no warning."""
    if cache.cause is None:
        return ""
    return _ADVICE[cache.cause].format(
        marking=_MARKING.get(cache.control, "mark the block"),
        longer=_LONGER.get(cache.control, ""),
    )


def minimum_text(cache: ModelCache) -> str:
    """`1,024`, or `1,024 to 4,096` where it is not sure."""
    if cache.min_tokens == cache.highest_min_tokens:
        return f"{cache.min_tokens:,}"
    return f"{cache.min_tokens:,} to {cache.highest_min_tokens:,}"


def _minutes(seconds: int) -> str:
    return f"{seconds // 60} minutes" if seconds < 3600 else f"{seconds // 3600} h"
