"""What input costs now at a provider's cache, by the name of a time to live."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from frugal_chains.pricing import CacheTerms, PriceBook
from frugal_chains.prompt_cache import terms_by_ttl
from frugal_chains.tracking import shared_prices


def known_terms(
    book: PriceBook | None, *, model: str, provider: str, at_s: float
) -> Mapping[str, CacheTerms]:
    """As `terms_by_ttl`; empty where the model has no price.

    Args:
        book: None: list prices behind the user's `prices.toml`.
        model, provider: Who reads the request.
        at_s: Seconds since 1970.
    """
    at = datetime.fromtimestamp(max(0.0, at_s), UTC)
    return terms_by_ttl(book or shared_prices(), model=model, provider=provider, at=at)
