"""What providers themselves say about a missed cache.

- Anthropic: `diagnostics` of a message whose request named `diagnostics.previous_message_id`:
  null where nothing differs, `cache_miss_reason` null while the comparison still ran, else one of
  six types, four of them with `cache_missed_input_tokens`
  (platform.claude.com/docs/en/build-with-claude/cache-diagnostics, of 2026-09-20; anthropic 0.125,
  `types/beta/beta_diagnostics.py`; both read 2026-11-22).
- OpenAI: `prompt_cache_diagnostics` of a response whose request named
  `prompt_cache_options.comparison_response_id`: `cache_hit`, `cache_miss` with one of nine reasons
  and `cache_missed_tokens`, or two that say nothing
  (developers.openai.com/api/docs/guides/prompt-caching/diagnostics, of 2026-09, read 2026-11-22).

Both compare requests, not caches: that nothing differs does not say that anything was read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

UNCHANGED: Final = "unchanged"
"""The requests agree: what was missed has another cause."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TheirReason:
    """One provider's word on one request."""

    reason: str
    """In the provider's own words: `tools_changed`, `cache_hit`."""
    parts: frozenset[str]
    """Which part it blames: `model`, `tools`, `system`, `messages`, the name of a setting,
    `unchanged`. Empty: it says nothing."""
    missed_tokens: int | None = None
    """That were not read because of it: an estimate."""


_ANTHROPIC: Final[Mapping[str, frozenset[str]]] = {
    "model_changed": frozenset({"model"}),
    "tools_changed": frozenset({"tools"}),
    "system_changed": frozenset({"system"}),
    "messages_changed": frozenset({"messages"}),
    "previous_message_not_found": frozenset(),
    # Also where `tool_choice`, `thinking` or another parameter differs, or the change is too deep.
    "unavailable": frozenset(),
}
_OPENAI: Final[Mapping[str, frozenset[str]]] = {
    "model_changed": frozenset({"model"}),
    "prompt_cache_key_changed": frozenset({"cache_key"}),
    "service_tier_changed": frozenset({"service_tier"}),
    "tools_changed": frozenset({"tools", "parallel_tool_calls"}),
    "text_format_changed": frozenset({"format"}),
    "reasoning_effort_changed": frozenset({"effort", "thinking"}),
    "verbosity_changed": frozenset({"verbosity"}),
    "context_compacted": frozenset({"messages"}),
    "input_changed": frozenset({"system", "messages"}),
}
_MOST_LETTERS: Final = 64


def read_reason(given: Mapping[str, Any]) -> TheirReason | None:
    """What a response says, or its `diagnostics` or `prompt_cache_diagnostics` alone; None: there
    is nothing of the kind, or not in a form that is known."""
    if "diagnostics" in given:
        inner = given["diagnostics"]
        if inner is None:
            return TheirReason(reason="null", parts=frozenset({UNCHANGED}))
        return read_reason(inner) if isinstance(inner, Mapping) else None
    if "prompt_cache_diagnostics" in given:
        inner = given["prompt_cache_diagnostics"]
        return read_reason(inner) if isinstance(inner, Mapping) else None
    if "cache_miss_reason" in given:
        return _anthropic(given["cache_miss_reason"])
    return _openai(given) if "type" in given else None


def _anthropic(reason: object) -> TheirReason | None:
    if reason is None:
        return TheirReason(reason="pending", parts=frozenset())
    if not isinstance(reason, Mapping):
        return None
    kind = _word(reason.get("type"))
    return TheirReason(
        reason=kind,
        parts=_ANTHROPIC.get(kind, frozenset()),
        missed_tokens=_count(reason.get("cache_missed_input_tokens")),
    )


def _openai(given: Mapping[str, Any]) -> TheirReason | None:
    kind = _word(given["type"])
    if kind == "cache_hit":
        return TheirReason(reason=kind, parts=frozenset({UNCHANGED}))
    if kind != "cache_miss":
        known = kind in ("comparison_response_not_found", "unavailable")
        return TheirReason(reason=kind, parts=frozenset()) if known else None
    reason = _word(given.get("reason"))
    return TheirReason(
        reason=reason,
        parts=_OPENAI.get(reason, frozenset()),
        missed_tokens=_count(given.get("cache_missed_tokens")),
    )


def _word(value: object) -> str:
    return value[:_MOST_LETTERS] if isinstance(value, str) else ""


def _count(value: object) -> int | None:
    whole = isinstance(value, int) and not isinstance(value, bool)
    return value if whole and isinstance(value, int) and value >= 0 else None
