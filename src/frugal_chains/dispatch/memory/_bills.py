"""The terms of a model: its prices, its provider's cache, and what summaries would cost."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from frugal_chains.dispatch._prefix import CAREFUL
from frugal_chains.memory import ALIGNED_TOKENS, FLAT_TOKENS, MemoryTerms, SummaryWay
from frugal_chains.pricing import CacheTerms, PriceBook, TokenPrices
from frugal_chains.providers import cache_controls, cache_rule


@dataclass(frozen=True, slots=True, kw_only=True)
class Summarizer:
    """Who may be asked for a summary, besides nobody: then sentences are picked."""

    model: str
    provider: str = ""
    answers: bool = False
    """It is the model that answers: it can be asked behind the conversation that its provider's
    cache still has, if that is cheaper than a transcript."""


def memory_terms(
    book: PriceBook,
    *,
    model: str,
    provider: str,
    summarizer: Summarizer | None,
    ttl: Literal["", "5m", "1h"],
    caches: bool,
    at_s: float,
) -> tuple[MemoryTerms, bool]:
    """The terms of a model at a moment, and whether they are in nanos: it has a price.

    Args:
        book: Of prices.
        model: Who answers; its provider's cache rules hold.
        provider: Of the model; empty: by its name.
        summarizer: Who may be asked.
        ttl: Of the requests' cache markers, if they have any.
        caches: Whether requests are cached at all: automatically, or because they are marked.
        at_s: Seconds since the epoch.
    """
    at = datetime.fromtimestamp(max(0.0, at_s), UTC)
    known = TokenPrices.of(book, model=model, provider=provider or None, at=at, ttl=ttl)
    prices, rule = known or CAREFUL, cache_rule(provider, model)
    controls = cache_controls(provider, model)
    caches = caches or known is None  # of what is not known the worst: that cheap reads are lost
    cache = CacheTerms.of(prices, rule if caches else None)
    terms = MemoryTerms(
        cache=cache,
        ttl_s=rule.kept_s(ttl),
        ways=_ways(summarizer, prices, book, at),
        floor_tokens=_floor_tokens(rule.highest_min_tokens, cache) if caches else 0,
        reads_parts=controls.reads_parts(marked=bool(ttl)),
        keeps_ends=caches and controls.matching == "breakpoints",
    )
    return terms, known is not None


def _ways(
    summarizer: Summarizer | None, prices: TokenPrices, book: PriceBook, at: datetime
) -> tuple[SummaryWay, ...]:
    if summarizer is None:
        return (SummaryWay(kind="digest"),)
    own = prices
    if not summarizer.answers:
        name, of = summarizer.model, summarizer.provider or None
        own = TokenPrices.of(book, model=name, provider=of, at=at) or prices
    flat = SummaryWay(kind="flat", instruction_tokens=FLAT_TOKENS, prices=own)
    if not summarizer.answers:
        return (flat,)
    return (SummaryWay(kind="aligned", instruction_tokens=ALIGNED_TOKENS, prices=own), flat)


def _floor_tokens(highest: int | None, cache: CacheTerms) -> int:
    """Where a model's own minimum is not known, the highest there is: a little more is kept, for
    not falling out of the cache."""
    return max(cache.min_tokens, highest or 0)
