"""`TokenPrices`: what one token of each kind costs, for decisions that weigh bills."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Self

from frugal_chains.errors import PriceError
from frugal_chains.pricing._book import PriceBook
from frugal_chains.pricing._price import CostPart, Free, Priced
from frugal_chains.pricing._tables import ServiceTier
from frugal_chains.usage import Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenPrices:
    """Nanos (1e-9 USD) of one token: 1 USD per million tokens is 1,000.

    Raises:
        PriceError: a price that is negative or no number.
    """

    fresh: float
    """Input that is neither read from a cache nor written to one."""
    cache_read: float
    """As `fresh` where nothing is cached."""
    cache_write: float
    """As `fresh` where the provider writes for free."""
    output: float = 0.0

    def __post_init__(self) -> None:
        for name in ("fresh", "cache_read", "cache_write", "output"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise PriceError(f"{name} is {value}: expected nanos per token, 0 or more")

    @classmethod
    def of(
        cls,
        book: PriceBook,
        *,
        model: str,
        provider: str | None = None,
        tier: ServiceTier = "standard",
        at: datetime,
        ttl: Literal["", "5m", "1h"] = "",
        tokens: int = 10_000,
    ) -> Self | None:
        """From a price book; None where the model's input has no price.

        What has no price of its own among reads and writes is billed as input. So is a read that is
        listed above it, and a write below: some lists have the storage there, which comes on top.

        Args:
            book: Of prices.
            model: Its name, for the provider or alone.
            provider: Who serves it.
            tier: Of the service.
            at: When the call is made.
            ttl: Of the request's cache markers; empty where the provider caches by itself.
            tokens: Of the request: some models' prices step up with its size.
        """

        def nanos(part: CostPart, bucket: str) -> float | None:
            counts = {"input_tokens": tokens} | ({bucket: tokens} if bucket else {})
            priced = book.price(
                Usage(**counts, source="estimated"),
                model=model,
                provider=provider,
                tier=tier,
                at=at,
            )
            match priced:
                case Priced():
                    return float(getattr(priced, f"{part}_nanos")) / tokens
                case Free():
                    return 0.0
            return None

        fresh = nanos("input", "")
        if fresh is None:
            return None
        read = nanos("cache_read", "cache_read_tokens")
        write = nanos("cache_write", f"cache_write_{ttl or '5m'}_tokens")
        output = nanos("output", "output_tokens")
        return cls(
            fresh=fresh,
            cache_read=fresh if read is None else min(read, fresh),
            cache_write=fresh if write is None else max(write, fresh),
            output=output or 0.0,
        )
