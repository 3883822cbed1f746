"""What a provider's prompt cache keeps: from how many tokens on, for how long, in which steps.

Sources, read 2026-11-20: platform.claude.com/docs/en/build-with-claude/prompt-caching,
developers.openai.com/api/docs/guides/prompt-caching, ai.google.dev/gemini-api/docs/caching (as of
2026-10-13), api-docs.deepseek.com/guides/kv_cache, docs.aws.amazon.com/bedrock (prompt caching).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

from frugal_chains.providers._model_names import longest_prefix, model_family
from frugal_chains.providers._names import LOCAL_PROVIDERS, provider_id


@dataclass(frozen=True, slots=True)
class CacheRule:
    """One provider's prompt cache, as it is for one model."""

    automatic: bool
    """It caches without being asked to."""
    min_tokens: int
    """A shorter prefix is not kept. The usual one, where the model's own is not known."""
    ttl_s: int
    """Kept for so long after the last use, at least; a request may ask for longer."""
    step_tokens: int = 1
    """What is read is a whole number of these; 1: all that an earlier request ended with."""
    highest_min_tokens: int | None = None
    """What `min_tokens` may be in truth, for who has to be sure; None: it is what it is."""

    keeps_answers: bool = False
    """What it has answered stands in it as well: the next request of the conversation reads it."""

    def kept_s(self, marker_ttl: str = "") -> int:
        """For how long, with the time to live of a request's markers; empty: it has none."""
        return max(self.ttl_s, _MARKER_TTL_S.get(marker_ttl, 0))


_MARKER_TTL_S: Final[Mapping[str, int]] = {"5m": 300, "30m": 1800, "1h": 3600, "12h": 43200}
"""As Anthropic and Amazon name them, and OpenAI from GPT-5.6 on."""

HIGHEST_MIN_TOKENS: Final = 4096
"""Of all models of all providers: a longer prefix is kept by any that caches."""
_BY_MODEL: Final = CacheRule(
    automatic=False, min_tokens=1024, ttl_s=300, highest_min_tokens=HIGHEST_MIN_TOKENS
)
_IN_STEPS: Final = CacheRule(automatic=True, min_tokens=1024, ttl_s=300, step_tokens=128)
_RULES: Final[Mapping[str, CacheRule]] = {
    "anthropic": _BY_MODEL,
    "aws": _BY_MODEL,
    "openai": _IN_STEPS,
    "azure": _IN_STEPS,
    "google": replace(_BY_MODEL, automatic=True),
    "deepseek": CacheRule(automatic=True, min_tokens=64, ttl_s=3600),
}
_LOCAL: Final = CacheRule(automatic=True, min_tokens=1, ttl_s=3600, keeps_answers=True)
_UNKNOWN: Final = replace(_BY_MODEL, step_tokens=128)

_CLAUDE_MIN_TOKENS: Final[Mapping[str, int]] = {
    "claude-opus-5": 512,
    "claude-fable-5-1": 512,
    "claude-sonnet-5": 1024,
    "claude-opus-4-8": 1024,
    "claude-sonnet-4-6": 1024,
    "claude-sonnet-4-5": 1024,
    "claude-haiku-4-5": 4096,
    "claude-opus-4-6": 4096,
    "claude-opus-4-5": 4096,
}
"""By family, wherever it is served: Bedrock has minimums of its own, and the same for these
(docs.litellm.ai/docs/completion/prompt_caching, of 2026-10-07). Those of other families are not
known: of Opus 4.7 both 4,096 and 2,048 have been said, of models since 5.5 nothing was read."""
_GEMINI_MIN_TOKENS: Final[Mapping[str, int]] = {
    "gemini-2.5-": 2048,
    "gemini-3": 4096,
    "gemini-4": 4096,
}
"""By prefix. Until 2026-05 the same page had 1,024 and 4,096 for Flash and Pro: none is sure."""
_AT_BREAKPOINTS: Final[Mapping[str, CacheRule]] = dict.fromkeys(
    ("gpt-5.6-", "gpt-6"), CacheRule(automatic=True, min_tokens=1024, ttl_s=1800)
)
"""By prefix: from GPT-5.6 on OpenAI bills writes, reads what ends at a breakpoint, and keeps it for
30 minutes after its last use, at least."""


def read_tokens(tokens: int, shared_tokens: int, *, min_tokens: int, step_tokens: int = 1) -> int:
    """How much of a prompt is read from a cache.

    Args:
        tokens: Of the prompt.
        shared_tokens: Of its beginning, that the cache has.
        min_tokens: A shorter beginning is not kept. A whole number of steps.
        step_tokens: What is read is a whole number of these.
    """
    shared = min(tokens, shared_tokens)
    return shared - shared % step_tokens if shared >= min_tokens else 0


@lru_cache(maxsize=1024)
def cache_rule(provider: str, model: str = "") -> CacheRule:
    """The rule of a provider, in any framework's spelling, for a model of its; a careful one for
    the unknown. Without a provider the model's name tells, where it can."""
    name, family = provider_id(provider), model_family(model)
    if not name and family.startswith("gpt-"):
        name = "openai"
    rule = _LOCAL if name in LOCAL_PROVIDERS else _RULES.get(name, _UNKNOWN)
    if rule is _LOCAL:
        return rule
    claude = _CLAUDE_MIN_TOKENS.get(family)
    if claude is not None:
        return replace(rule, min_tokens=claude, step_tokens=1, highest_min_tokens=None)
    if name == "google":
        least = longest_prefix(_GEMINI_MIN_TOKENS, family)
        return rule if least is None else replace(rule, min_tokens=least)
    if name in ("openai", "azure"):
        return longest_prefix(_AT_BREAKPOINTS, family) or rule
    return rule
