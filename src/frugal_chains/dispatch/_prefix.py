"""`PrefixFacts`: where a text enters a conversation, for a verdict net of the provider's cache."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Literal

from frugal_chains.compression import Ahead, CacheTerms, Verdict, pays
from frugal_chains.compression.tools import TokenPrices
from frugal_chains.pricing import PriceBook
from frugal_chains.providers import cache_rule, model_family, provider_id

_STEPS: Final = frozenset({"openai", "azure"})
"""Where writing is free these read in steps of 128 tokens (developers.openai.com/api/docs/guides/
prompt-caching, read 2026-11-20); from GPT-5.6 on writing has a price, and there are no steps."""
_STEP_TOKENS: Final = 128
_CLAUDE_LEAST: Final[Mapping[str, int]] = {
    "claude-opus-5": 512,
    "claude-fable-5-1": 512,
    "claude-sonnet-4-5": 1024,
    "claude-sonnet-4-6": 1024,
    "claude-sonnet-5": 1024,
    "claude-opus-4-8": 1024,
    "claude-haiku-4-5": 4096,
    "claude-opus-4-5": 4096,
    "claude-opus-4-6": 4096,
}
"""The least a cache keeps, by model (platform.claude.com/docs/en/build-with-claude/prompt-caching,
read 2026-11-20)."""
_BY_MODEL: Final = frozenset({"anthropic", "aws", "google"})
"""Whose least depends on the model."""
_MOST_LEAST: Final = 4096
"""Of all models: for those whose own is not known."""
_CAREFUL: Final = TokenPrices(fresh=1.0, cache_read=0.02, cache_write=1.0)
"""For models without a price, in prices of a fresh token: the cheapest reads there are (DeepSeek),
with which most can be lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefixFacts:
    """What stands in front of a text, and what may follow it."""

    ahead: Ahead
    """Tokens so far, calls expected, calls at most."""
    caches: bool = True
    """False: the provider keeps nothing unless asked, and these requests do not ask."""
    ttl: Literal["", "5m", "1h"] = ""
    """Of the requests' cache markers, if they have any: what writing costs."""
    min_tokens: int | None = None
    """What the provider keeps at least; None: by provider and model."""


def verdict(
    before_tokens: int,
    after_tokens: int,
    facts: PrefixFacts,
    *,
    model: str,
    provider: str,
    book: PriceBook,
    at: datetime,
) -> tuple[Verdict, bool]:
    """Whether a text may be compressed, and whether the verdict is in nanos: the model has a price.

    Args:
        before_tokens: Of the text.
        after_tokens: Of its compressed form.
        facts: Of the conversation.
        model: Who will read it.
        provider: Of the model; empty: not known.
        book: Of prices.
        at: The time of the prices.
    """
    prices = TokenPrices.of(book, model=model, provider=provider or None, at=at, ttl=facts.ttl)
    name = provider_id(provider) or provider
    if not name and model_family(model).startswith("gpt-"):
        name = "openai"
    terms = _terms(prices or _CAREFUL, facts, model, name)
    ahead = facts.ahead
    if facts.min_tokens is None and _own_least(model, name) is None:
        # That no prompt reaches a least which is only taken for the worst says nothing.
        ahead = replace(ahead, most_tokens=None)
    if facts.caches:
        return pays(before_tokens, after_tokens, terms, ahead), prices is not None
    # Not cached: as fresh input every time.
    terms = CacheTerms(fresh_nanos=terms.fresh_nanos, read_nanos=terms.fresh_nanos)
    return pays(before_tokens, after_tokens, terms, ahead), prices is not None


def _terms(prices: TokenPrices, facts: PrefixFacts, model: str, provider: str) -> CacheTerms:
    least = facts.min_tokens
    if least is None:
        least = _own_least(model, provider) or _MOST_LEAST
    in_steps = provider in _STEPS or not provider
    step = _STEP_TOKENS if in_steps and prices.cache_write <= prices.fresh else 1
    return CacheTerms(
        fresh_nanos=prices.fresh,
        read_nanos=min(prices.cache_read, prices.fresh),
        write_nanos=max(prices.cache_write, prices.fresh),
        min_tokens=-(-least // step) * step,
        step_tokens=step,
    )


def _own_least(model: str, provider: str) -> int | None:
    """The least of this model; None where it is not known."""
    if not provider or provider in _BY_MODEL:
        return _CLAUDE_LEAST.get(model_family(model))
    return cache_rule(provider).min_tokens
