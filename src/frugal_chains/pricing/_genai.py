"""genai-prices as a source: finds a model's listing and reads its prices as plain `PriceList`s.

Only the prices bundled with the installed version are read, never a downloaded snapshot, so that
the version number names exactly what an attempt was priced with.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, time
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING

from frugal_chains.pricing._tables import Band, Bucket, Fee, PriceList, ServiceTier

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice, Provider, TieredPrices

# genai-prices 0.2.3 `data_units.py`: price keys per 1,000,000 tokens, and per 1,000 calls.
_TOKEN_KEYS: Mapping[str, Bucket] = {
    "input_mtok": "input",
    "cache_read_mtok": "cache_read",
    "cache_write_mtok": "cache_write_5m",
    "cache_write_5m_mtok": "cache_write_5m",
    "cache_write_1h_mtok": "cache_write_1h",
    "input_audio_mtok": "input_audio",
    "cache_audio_read_mtok": "cache_read_audio",
    "input_image_mtok": "input_image",
    "output_mtok": "output",
    "output_reasoning_mtok": "reasoning",
    "output_audio_mtok": "output_audio",
    "output_image_mtok": "output_image",
}
_CALL_KEYS: Mapping[str, Fee] = {
    "web_searches_kcount": "web_search",
    "code_executions_kcount": "code_execution",
    "storage_searches_kcount": "file_search",
    "requests_kcount": "request",
}
# Token kinds that `Usage` counts under their parent. A mixture of cached and uncached images is
# refused by `Rates`; video tokens are priced as their parent, and the note says so.
_FOLDED_KEYS = frozenset({"cache_image_read_mtok", "input_video_mtok", "output_video_mtok"})

_CONTEXTS: Mapping[ServiceTier, tuple[tuple[str, str], ...]] = {
    "batch": (("processing", "batch"),),
    "flex": (("service_tier", "flex"),),
    "priority": (("service_tier", "priority"),),
    "fast": (("service_tier", "fast"), ("speed", "fast")),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A model as genai-prices lists it."""

    provider: str
    """Whose price list this is. Differs from the provider asked for when it resells the model."""
    model: str
    info: ModelInfo


@cache
def version() -> str:
    from importlib.metadata import version as installed

    return installed("genai-prices")


@cache
def _providers() -> Mapping[str, Provider]:
    from genai_prices.data import providers

    return {provider.id: provider for provider in providers}


def is_listed(provider: str) -> bool:
    return provider in _providers()


def provider_ids() -> frozenset[str]:
    return frozenset(_providers())


def infer_provider(model: str) -> str | None:
    """The provider whose own naming the model follows, if genai-prices knows one."""
    for provider in _providers().values():
        if provider.model_match is not None and provider.model_match.is_match(model):
            return provider.id
    return None


def find_listing(provider: str, model: str) -> Listing | None:
    known = _providers()
    if provider not in known:
        return None
    info = known[provider].find_model(model, all_providers=list(known.values()))
    if info is None:
        return None
    sellers = (provider, *(known[provider].fallback_model_providers or ()))
    owner = next(s for s in sellers if any(info is m for m in known[s].models))
    return Listing(provider=owner, model=info.id, info=info)


def standard_prices(listing: Listing, at: datetime) -> PriceList | str:
    """The standard price at a moment; or why token counts do not determine it."""
    return _read(listing.info.get_prices(at))


def tier_prices(
    listing: Listing, tier: ServiceTier, at: datetime, *, any_date: bool = False
) -> PriceList | None:
    """What the tier prices differently, or None when the listing has no such tier at that time."""
    found: dict[str, Decimal | TieredPrices] = {}
    matched = False
    for variant in listing.info.price_variants or ():
        if not any(variant.when == {key: value} for key, value in _CONTEXTS[tier]):
            continue
        if not any_date and variant.constraint and not variant.constraint.active(at):
            continue
        matched = True
        for key, price in variant.prices.__dict__.items():
            if price is not None:
                found.setdefault(key, price)
    return _token_prices(found) if matched else None


def clock_minutes(listing: Listing) -> frozenset[int]:
    """Minutes of the UTC day at which the price may change."""
    from genai_prices.types import ModelPrice, TimeOfDateConstraint

    if isinstance(listing.info.prices, ModelPrice):
        return frozenset()
    edges: set[time] = set()
    for dated in listing.info.prices:
        if isinstance(dated.constraint, TimeOfDateConstraint):
            edges |= {dated.constraint.start_time, dated.constraint.end_time}
    return frozenset(edge.hour * 60 + edge.minute for edge in edges)


def notes(listing: Listing, at: datetime) -> tuple[str, ...]:
    """What a reader of the price should know, in our own words."""
    keys = _priced_keys(listing.info.get_prices(at))
    found = []
    if keys.keys() & {"input_video_mtok", "output_video_mtok"}:
        found.append("video tokens have a price of their own, but usage counts them as plain ones")
    if listing.info.deprecated:
        found.append("deprecated by the provider")
    return tuple(found)


def _priced_keys(price: ModelPrice) -> dict[str, Decimal | TieredPrices]:
    return {key: value for key, value in price.__dict__.items() if value is not None}


def _read(price: ModelPrice) -> PriceList | str:
    keys = _priced_keys(price)
    foreign = sorted(keys.keys() - _TOKEN_KEYS.keys() - _CALL_KEYS.keys() - _FOLDED_KEYS)
    if foreign:
        return f"it is billed by {', '.join(foreign)}, which token counts do not give"
    if "input_mtok" not in keys:
        return "genai-prices lists no price for its input tokens"
    return _token_prices(keys)


def _token_prices(keys: Mapping[str, Decimal | TieredPrices]) -> PriceList:
    buckets = {_TOKEN_KEYS[key]: price for key, price in keys.items() if key in _TOKEN_KEYS}
    fees = {_CALL_KEYS[key]: _flat(price) for key, price in keys.items() if key in _CALL_KEYS}
    starts = {tier.start for price in buckets.values() for tier in getattr(price, "tiers", ())}
    bands = tuple(
        Band(above_tokens=start, per_mtok={b: _price_above(p, start) for b, p in buckets.items()})
        for start in sorted({0, *starts})
    )
    return PriceList(bands=bands, per_thousand=fees)


def _flat(price: Decimal | TieredPrices) -> Decimal:
    assert isinstance(price, Decimal), "fees have no bands"
    return price


def _price_above(price: Decimal | TieredPrices, start: int) -> Decimal:
    if isinstance(price, Decimal):
        return price
    reached = [tier.price for tier in price.tiers if tier.start <= start]
    return reached[-1] if reached and start else price.base
