"""Pricing: dated prices, user overrides, compiled rates."""

from frugal_chains.pricing._book import PriceBook, find_price_file
from frugal_chains.pricing._cache_terms import CacheTerms
from frugal_chains.pricing._explain import Explanation
from frugal_chains.pricing._price import Free, Price, Priced, Unpriced
from frugal_chains.pricing._rates import Rates
from frugal_chains.pricing._tables import BUCKETS, TIERS, Band, ServiceTier
from frugal_chains.pricing._token_prices import TokenPrices

__all__ = [
    "BUCKETS",
    "TIERS",
    "Band",
    "CacheTerms",
    "Explanation",
    "Free",
    "Price",
    "PriceBook",
    "Priced",
    "Rates",
    "ServiceTier",
    "TokenPrices",
    "Unpriced",
    "find_price_file",
]
