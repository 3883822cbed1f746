"""`terms_by_ttl`: what input costs at a provider's cache, for each time to live it offers."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from frugal_chains.errors import CachePlanError
from frugal_chains.pricing import CacheTerms, PriceBook, ServiceTier, TokenPrices
from frugal_chains.providers import CacheControls, cache_controls, cache_rule


def terms_by_ttl(
    book: PriceBook,
    *,
    model: str,
    provider: str = "",
    tier: ServiceTier = "standard",
    at: datetime,
    tokens: int = 10_000,
    min_tokens: int | None = None,
) -> Mapping[str, CacheTerms]:
    """By the name of a time to live, for `plan_breakpoints` and `diagnose`.

    A longer time to live is left out where it has no price of its own: to write for longer never
    costs less. Empty where the model has no price at all.

    Args:
        book: Of prices.
        model: Its name.
        provider: Who serves it; empty: by the model's name.
        tier: Of the service.
        at: The time of the prices.
        tokens: Of the request: some models' prices step up with its size.
        min_tokens: What is kept at least; None: by provider and model, the usual one where it is
            not sure. A marker too early costs nothing: the provider passes over it.
    """
    rule = cache_rule(provider, model)
    found: dict[str, CacheTerms] = {}
    # The books have two buckets of writes, for a provider's shorter and its longer time to live.
    buckets: tuple[Literal["5m", "1h"], ...] = ("5m", "1h")
    names = [name for name, _ in cache_controls(provider, model).ttls]
    for name, bucket in zip(names, buckets, strict=False):
        prices = TokenPrices.of(
            book,
            model=model,
            provider=provider or None,
            tier=tier,
            at=at,
            ttl=bucket,
            tokens=tokens,
        )
        if prices is None:
            return {}
        first = next(iter(found.values()), None)
        if first is None or prices.cache_write > first.prices.cache_write:
            found[name] = CacheTerms.of(prices, rule, min_tokens=min_tokens)
    return found


def shortest_and_longest(
    controls: CacheControls, terms: Mapping[str, CacheTerms]
) -> tuple[str, str]:
    """The names of those times to live of a provider that have terms.

    Raises:
        CachePlanError: none has.
    """
    offered = [name for name, _ in controls.ttls] or [""]
    names = [name for name in offered if name in terms]
    if not names:
        raise CachePlanError(
            f"terms of {sorted(terms)}: expected one of {offered}, "
            "the times to live of this provider"
        )
    return names[0], names[-1]
