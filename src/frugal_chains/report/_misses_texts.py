"""What missed a prompt cache, and what to do about it, in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from frugal_chains.providers import cache_controls, cache_rule
from frugal_chains.report._misses_facts import CacheMiss, CacheMisses

TURN_ON: Final = (
    "Turn fingerprints on where calls are booked: track_cost(fingerprints=True) or "
    "CostCallbackHandler(fingerprints=True), for LlamaIndex CostEventHandler(fingerprints=True). "
    "They are keyed hashes and sizes; no text is kept."
)


def what_text(miss: CacheMiss) -> str:
    """`tool 2 was added`, `message 3 changed`."""
    return _WHAT[miss.cause](miss)


def advice_text(miss: CacheMiss) -> str:
    """What to do; empty where nothing can be done."""
    return _ADVICE[miss.cause]


def coverage_text(found: CacheMisses) -> str:
    """What the fingerprints cover; empty where they cover all."""
    if not found.answers:
        return "No answered call is in this period."
    if not found.fingerprinted:
        return f"None of {found.answers:,} answered calls has fingerprints. {TURN_ON}"
    if found.fingerprinted < found.answers:
        return f"{found.fingerprinted:,} of {found.answers:,} answered calls have fingerprints."
    return ""


def _place(miss: CacheMiss) -> str:
    """`tool 2`, `messages 3 to 5`, counted from 1."""
    if miss.first_index is None:
        return f"a {miss.block}"
    first, last = miss.first_index + 1, (miss.last_index or 0) + 1
    if miss.block == "system":
        return f"block {first} of the system prompt"
    return f"{miss.block} {first}" if last <= first else f"one of {miss.block}s {first} to {last}"


def _says(verb: str) -> Callable[[CacheMiss], str]:
    return lambda miss: f"{_place(miss)} {verb}"


def _kept_for(miss: CacheMiss) -> str:
    seconds = cache_controls(miss.provider, miss.model).ttl_s()
    length = f"{seconds // 60} minutes" if seconds else "they are kept"
    return f"pauses were longer than prompts are kept ({length} unless asked for longer)"


def _too_short(miss: CacheMiss) -> str:
    least = cache_rule(miss.provider, miss.model).min_tokens
    return f"prompts were too short to be kept (under {least:,} tokens)"


_WHAT: Final[Mapping[str, Callable[[CacheMiss], str]]] = {
    "model-changed": lambda miss: f"the model was switched, from {miss.name}",
    "setting-changed": lambda miss: f"the setting {miss.name} changed",
    "tool-added": _says("was added"),
    "tool-removed": _says("was removed"),
    "tool-changed": _says("changed"),
    "tools-reordered": lambda miss: f"tools changed their order, from {_place(miss)} on",
    "system-added": _says("was added"),
    "system-removed": _says("was removed"),
    "system-changed": _says("changed"),
    "system-reordered": lambda miss: "blocks of the system prompt changed their order",
    "message-added": _says("was added among earlier ones"),
    "message-removed": _says("was removed"),
    "message-changed": _says("changed, although sent before"),
    "expired": _kept_for,
    "look-back": lambda miss: "no marker stood near enough to the one before",
    "unmarked": lambda miss: "nothing was marked to be kept",
    "below-minimum": _too_short,
    "evicted": lambda miss: "nothing had changed, and yet it was not read",
    "first": lambda miss: "the first request",
    "hit": lambda miss: "all was read",
    "parallel": lambda miss: "requests ran at the same time",
}
_TOOLS: Final = "Offer the same tools in the same order all along; new ones at the end, if at all."
_SYSTEM: Final = (
    "Keep the system prompt the same bytes: put what changes (time, user, retrieved text) into the "
    "last message, behind all that is cached."
)
_MESSAGES: Final = "Only add behind what was sent: CompactionMiddleware shortens where it pays."
_MARK: Final = "Mark what repeats: PromptCacheMiddleware does."
_ADVICE: Final[Mapping[str, str]] = {
    "model-changed": "Keep a conversation on one model; each model has a cache of its own.",
    "setting-changed": "Keep it the same for a whole conversation.",
    "tool-added": _TOOLS,
    "tool-removed": _TOOLS,
    "tool-changed": "Keep names, descriptions and schemas the same bytes; they are sent first.",
    "tools-reordered": "Sort the tools, by name for instance.",
    "system-added": _SYSTEM,
    "system-removed": _SYSTEM,
    "system-changed": _SYSTEM,
    "system-reordered": _SYSTEM,
    "message-added": _MESSAGES,
    "message-removed": _MESSAGES,
    "message-changed": _MESSAGES,
    "expired": "Ask for a longer time to live where answers take long and the provider offers one.",
    "look-back": _MARK,
    "unmarked": _MARK,
    "below-minimum": "Nothing to fix, unless several such calls can be one.",
    "evicted": "Providers give no guarantee; a prompt_cache_key helps at OpenAI.",
    "first": "",
    "hit": "",
    "parallel": "",
}
