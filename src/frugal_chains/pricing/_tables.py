"""Price lists as plain data: what one model costs at one moment, bucket by bucket.

Prices are exact `Decimal` USD: per 1,000,000 tokens for token buckets, per 1,000 calls for fees.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Context, Decimal, Inexact
from typing import Literal

ServiceTier = Literal["standard", "batch", "flex", "priority", "fast"]
"""`fast` is Anthropic's fast mode and OpenAI's newer name for priority processing."""
TIERS: tuple[ServiceTier, ...] = ("standard", "batch", "flex", "priority", "fast")

Bucket = Literal[
    "input", "cache_read", "cache_write_5m", "cache_write_1h", "input_audio", "cache_read_audio",
    "input_image", "output", "reasoning", "output_audio", "output_image",
]  # fmt: skip
Fee = Literal["web_search", "code_execution", "file_search", "request"]
BUCKETS: tuple[Bucket, ...] = (
    "input", "cache_read", "cache_write_5m", "cache_write_1h", "input_audio", "cache_read_audio",
    "input_image", "output", "reasoning", "output_audio", "output_image",
)  # fmt: skip
FEES: tuple[Fee, ...] = ("web_search", "code_execution", "file_search", "request")

# Prices have a handful of digits; a product that does not fit in 60 is an error, not a rounding.
_EXACT = Context(prec=60, traps=[Inexact])


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """Prices for requests with more than `above_tokens` input tokens, cached ones included."""

    above_tokens: int = 0
    per_mtok: Mapping[Bucket, Decimal] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceList:
    """What one model costs. A band prices every token of a request, not only those above it."""

    bands: tuple[Band, ...] = (Band(),)
    """Ascending; the first starts at 0."""
    per_thousand: Mapping[Fee, Decimal] = field(default_factory=dict)
    gaps: Mapping[str, str] = field(default_factory=dict)
    """Why a bucket or fee has no price, where more is known than that it is not listed."""

    def times(self, factor: Decimal, *, buckets: Iterable[Bucket] = BUCKETS) -> PriceList:
        """Every named bucket multiplied exactly; the other buckets and all fees stay."""
        named = frozenset(buckets)
        return replace(
            self,
            bands=tuple(
                replace(band, per_mtok={
                    bucket: _EXACT.multiply(price, factor) if bucket in named else price
                    for bucket, price in band.per_mtok.items()
                })
                for band in self.bands
            ),
        )  # fmt: skip

    def times_fees(self, factor: Decimal) -> PriceList:
        """Every fee multiplied exactly."""
        fees = {fee: _EXACT.multiply(price, factor) for fee, price in self.per_thousand.items()}
        return replace(self, per_thousand=fees)

    def keeping(self, buckets: Iterable[Bucket], *, why: str) -> PriceList:
        """Only the named buckets; `why` becomes the gap of every other one."""
        kept = frozenset(buckets)
        dropped = [bucket for bucket in BUCKETS if bucket not in kept]
        bands = tuple(
            replace(band, per_mtok={b: p for b, p in band.per_mtok.items() if b in kept})
            for band in self.bands
        )
        return replace(self, bands=bands, gaps={**self.gaps, **dict.fromkeys(dropped, why)})

    def capped(self, above_tokens: int, *, why: str) -> PriceList:
        """No price for requests with more than `above_tokens` input tokens, and why."""
        below = tuple(band for band in self.bands if band.above_tokens < above_tokens)
        named = {bucket for band in self.bands for bucket in band.per_mtok}
        return replace(
            self,
            bands=(*below, Band(above_tokens=above_tokens)),
            gaps={**self.gaps, **dict.fromkeys(named, why)},
        )

    def overlaid(self, other: PriceList) -> PriceList:
        """This list with the buckets, fees and gaps that `other` names replaced by its own."""
        starts = sorted({band.above_tokens for band in (*self.bands, *other.bands)})
        return PriceList(
            bands=tuple(
                Band(
                    above_tokens=start,
                    per_mtok={**self.band_at(start).per_mtok, **other.band_at(start).per_mtok},
                )
                for start in starts
            ),
            per_thousand={**self.per_thousand, **other.per_thousand},
            gaps={**self.gaps, **other.gaps},
        )

    def band_at(self, above_tokens: int) -> Band:
        """The band that prices a request with one token more than `above_tokens`."""
        return next(b for b in reversed(self.bands) if b.above_tokens <= above_tokens)


def price_list(
    per_mtok: Mapping[Bucket, str],
    *above: tuple[int, Mapping[Bucket, str]],
    fees: Mapping[Fee, str] | None = None,
    gaps: Mapping[str, str] | None = None,
) -> PriceList:
    """A price list from decimal text: the base band, then `(above_tokens, per_mtok)` bands."""
    return PriceList(
        bands=tuple(
            Band(above_tokens=start, per_mtok={b: Decimal(p) for b, p in prices.items()})
            for start, prices in ((0, per_mtok), *above)
        ),
        per_thousand={fee: Decimal(p) for fee, p in (fees or {}).items()},
        gaps=dict(gaps or {}),
    )
