"""`cache_controls`: what a request can ask of each provider's prompt cache, by its documents.

Read on 2026-11-22, from copies of the pages:

- Anthropic: platform.claude.com/docs/en/build-with-claude/prompt-caching ("How automatic prefix
  checking works", "What invalidates the cache", "Mixing different TTLs"), copy of 2026-09.
- OpenAI: developers.openai.com/api/docs/guides/prompt-caching ("How caching works", "How prefix
  matching works", "Which settings affect the cached prefix"), of 2026-09-23; the 12 hours are in
  openai 3.54.
- Amazon: docs.aws.amazon.com/bedrock/latest/userguide/prompt-caching.html, copy of 2026-09.
- Google: ai.google.dev/gemini-api/docs/caching, of 2026-10-13.
- DeepSeek: api-docs.deepseek.com/guides/kv_cache, copy of 2026-10.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from frugal_chains.providers._cache_controls import CacheControls, Level
from frugal_chains.providers._model_names import longest_prefix, model_family
from frugal_chains.providers._names import LOCAL_PROVIDERS, provider_id

_ANTHROPIC_PAGE: Final = (
    "platform.claude.com/docs/en/build-with-claude/prompt-caching, of 2026-09, read 2026-11-22"
)
_OPENAI_PAGE: Final = (
    "developers.openai.com/api/docs/guides/prompt-caching, of 2026-09-23, read 2026-11-22"
)
_BEDROCK_PAGE: Final = (
    "docs.aws.amazon.com/bedrock/latest/userguide/prompt-caching.html, of 2026-09, read 2026-11-22"
)

_CLAUDE_RESETS: Final[Mapping[str, Level]] = MappingProxyType(
    {
        "model": "tools",
        "tools": "tools",
        "system": "system",
        "speed": "system",
        "web_search": "system",
        "citations": "system",
        # platform.claude.com/docs/en/build-with-claude/structured-outputs: the format is
        # described in a system prompt of Anthropic's.
        "format": "system",
        "tool_choice": "messages",
        "images": "messages",
        # On some models these two lose tools and system as well ("Model-specific").
        "thinking": "messages",
        "effort": "messages",
    }
)
_OPENAI_RESETS: Final[Mapping[str, Level]] = MappingProxyType(
    # The guide's table of settings, and the reasons that its diagnostics know.
    {
        "model": "tools",
        "cache_key": "tools",
        "service_tier": "tools",
        "tools": "tools",
        "parallel_tool_calls": "tools",
        "format": "tools",
        "effort": "tools",
        "thinking": "tools",
        "verbosity": "tools",
        "system": "system",
    }
)
_PREFIX_RESETS: Final[Mapping[str, Level]] = MappingProxyType(
    {"model": "tools", "tools": "tools", "system": "system"}
)
_SHORT_AND_LONG: Final = (("5m", 300), ("1h", 3600))

_CLAUDE: Final = CacheControls(
    control="cache_control",
    matching="breakpoints",
    source=_ANTHROPIC_PAGE,
    ttls=_SHORT_AND_LONG,
    most_markers=4,
    lookback=20,
    resets=_CLAUDE_RESETS,
)
_BEDROCK_CLAUDE: Final = replace(_CLAUDE, control="cachePoint", source=_BEDROCK_PAGE)
_NOVA: Final = CacheControls(
    control="cachePoint",
    matching="breakpoints",
    source=_BEDROCK_PAGE,
    ttls=(("5m", 300),),
    most_markers=4,
    # Of Nova no look-back is documented: "simplified cache management" is Claude's.
    lookback=1,
    marks_tools=False,
    resets=_PREFIX_RESETS,
)
_GPT_BREAKPOINTS: Final = CacheControls(
    control="prompt_cache_breakpoint",
    matching="breakpoints",
    source=_OPENAI_PAGE,
    ttls=(("30m", 1800), ("12h", 43200)),
    most_markers=4,
    one_ttl=True,
    lookback=1,
    # The guide: the first 2 and the latest 50; the API reference says 80. The smaller is safe.
    most_considered=52,
    # Tool definitions and top-level `instructions` take no breakpoint.
    marks_tools=False,
    writes_unasked=True,
    # Its own end and "up to 20 earlier eligible message endings".
    unasked_lookback=21,
    cache_key=True,
    resets=_OPENAI_RESETS,
)
_GPT_STEPS: Final = CacheControls(
    control="automatic",
    matching="longest prefix",
    source=_OPENAI_PAGE,
    ttls=(("", 300), ("24h", 1800)),
    cache_key=True,
    interval_tokens=128,
    resets=_OPENAI_RESETS,
)
_GEMINI: Final = CacheControls(
    control="automatic",
    matching="longest prefix",
    ttls=(("", 300),),
    source="ai.google.dev/gemini-api/docs/caching, of 2026-10-13, read 2026-11-22",
    stored_object="cached_content",
    resets=_PREFIX_RESETS,
)
_DEEPSEEK: Final = CacheControls(
    control="automatic",
    matching="breakpoints",
    ttls=(("", 3600),),
    source="api-docs.deepseek.com/guides/kv_cache, of 2026-10, read 2026-11-22",
    # "64 tokens as a storage unit" (api-docs.deepseek.com/news/news0802); the guide names none.
    interval_tokens=64,
    resets=_PREFIX_RESETS,
)
_LOCAL: Final = CacheControls(
    control="automatic",
    matching="longest prefix",
    ttls=(("", 3600),),
    source="github.com/ggml-org/llama.cpp/discussions/29885: the common prefix, read 2026-11-22",
    resets=_PREFIX_RESETS,
)
_UNKNOWN: Final = CacheControls(
    control="none", matching="longest prefix", source="nothing was read", resets=_PREFIX_RESETS
)

_CLAUDE_BY_PROVIDER: Final[Mapping[str, CacheControls]] = {
    # "On the Claude API, a run of consecutive tool_use blocks counts as one position."
    "anthropic": replace(_CLAUDE, runs_count_once=True),
    "aws": _BEDROCK_CLAUDE,
    "azure": _CLAUDE,
    "google": _CLAUDE,
    "openrouter": replace(_CLAUDE, source="openrouter.ai/docs/features/prompt-caching, 2026-11-22"),
}
_GPT: Final[Mapping[str, CacheControls]] = {
    "": _GPT_STEPS,
    # "Spaced at regular 2,048-token intervals."
    "gpt-5.5-": replace(_GPT_STEPS, interval_tokens=2048),
    "gpt-5.6-": _GPT_BREAKPOINTS,
    "gpt-6": _GPT_BREAKPOINTS,
}
"""By prefix of the model's family."""
_BY_PROVIDER: Final[Mapping[str, CacheControls]] = {
    "google": _GEMINI,
    "deepseek": _DEEPSEEK,
    **dict.fromkeys(sorted(LOCAL_PROVIDERS), _LOCAL),
}


@lru_cache(maxsize=1024)
def cache_controls(provider: str, model: str = "") -> CacheControls:
    """What a request can ask of the cache of a provider, in any framework's spelling, for a model
    of its. Without a provider the model's name tells, where it can; of who is not known nothing is
    asked."""
    name, family = provider_id(provider), model_family(model)
    if family.startswith("claude-"):
        return _CLAUDE_BY_PROVIDER.get(name or "anthropic", _UNKNOWN)
    if family.startswith("gpt-") and name in ("", "openai", "azure", "aws"):
        return longest_prefix(_GPT, family) or _GPT_STEPS
    if name in ("openai", "azure"):
        return _GPT_STEPS
    if name == "anthropic":
        return _CLAUDE_BY_PROVIDER[name]
    if name == "aws":
        return _NOVA if family.startswith("nova-") else _UNKNOWN
    return _BY_PROVIDER.get(name, _UNKNOWN)
