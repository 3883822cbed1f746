"""The price book of trackers that are given none: loaded once per process."""

from __future__ import annotations

import functools

from frugal_chains.pricing import PriceBook


@functools.cache
def shared_prices() -> PriceBook:
    """List prices behind the user's `prices.toml`, as found when first needed."""
    return PriceBook.load()
