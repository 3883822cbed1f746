"""The prices of one moment, as the lines of a sheet need them."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, cast

from frugal_chains.pricing import Explanation, PriceBook, ServiceTier, Unpriced
from frugal_chains.providers import CacheRule, cache_rule
from frugal_chains.usage import Usage


class MomentPrices:
    """A price book at one moment, each model looked up once."""

    def __init__(self, book: PriceBook, at: datetime) -> None:
        self._book, self.at = book, at
        self._found: dict[tuple[str, str | None, ServiceTier], Explanation] = {}

    @property
    def price_ids(self) -> tuple[str, ...]:
        return tuple(sorted({each.price_id for each in self._found.values() if each.price_id}))

    def find(self, model: str, provider: str | None, tier: ServiceTier) -> Explanation:
        key = (model, provider, tier)
        if key not in self._found:
            self._found[key] = self._book.explain(model, provider, tier=tier, at=self.at)
        return self._found[key]

    def usd_per_mtok(self, price: Explanation, bucket: str, input_tokens: int) -> Decimal | None:
        """Of a request with so many input tokens; None: the list has no price for the bucket."""
        bands = [band for band in price.bands if band.above_tokens < max(input_tokens, 1)]
        return bands[-1].per_mtok.get(cast(Any, bucket)) if bands else None

    def why(self, usage: Usage, model: str, provider: str | None, tier: ServiceTier) -> str:
        """Why a usage has no price, in the price book's own words."""
        said = self._book.price(usage, model=model, provider=provider, tier=tier, at=self.at)
        return said.reason if isinstance(said, Unpriced) else f"{model} has a price in part only"

    @staticmethod
    def rule(price: Explanation) -> CacheRule:
        return cache_rule(price.provider, price.model)
