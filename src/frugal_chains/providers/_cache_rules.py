"""How long, and from how many tokens on, a provider's prompt cache keeps what it has read.

What routing needs of it: whether a conversation's beginning is still warm. Sources, read
2026-11-20: platform.claude.com/docs/en/build-with-claude/prompt-caching,
developers.openai.com/api/docs/guides/prompt-caching, ai.google.dev/gemini-api/docs/caching,
api-docs.deepseek.com/guides/kv_cache, docs.aws.amazon.com/bedrock (prompt caching).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from frugal_chains.providers._names import LOCAL_PROVIDERS, provider_id


@dataclass(frozen=True, slots=True)
class CacheRule:
    """One provider's prompt cache."""

    automatic: bool
    """It caches without being asked to."""
    min_tokens: int
    """A shorter prefix is not kept."""
    ttl_s: int
    """Kept for so long after the last use, at least; a request may ask for longer."""


_RULES: Final[Mapping[str, CacheRule]] = {
    "anthropic": CacheRule(automatic=False, min_tokens=1024, ttl_s=300),
    "aws": CacheRule(automatic=False, min_tokens=1024, ttl_s=300),
    "openai": CacheRule(automatic=True, min_tokens=1024, ttl_s=300),
    "azure": CacheRule(automatic=True, min_tokens=1024, ttl_s=300),
    "google": CacheRule(automatic=True, min_tokens=1024, ttl_s=300),
    "deepseek": CacheRule(automatic=True, min_tokens=64, ttl_s=3600),
}
_LOCAL: Final = CacheRule(automatic=True, min_tokens=1, ttl_s=3600)
_UNKNOWN: Final = CacheRule(automatic=False, min_tokens=1024, ttl_s=300)


def cache_rule(provider: str) -> CacheRule:
    """The rule of a provider, in any framework's spelling; a careful one for the unknown."""
    name = provider_id(provider) or provider
    return _LOCAL if name in LOCAL_PROVIDERS else _RULES.get(name, _UNKNOWN)
