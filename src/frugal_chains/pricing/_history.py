"""The known changes of a model's price, by date and within one day."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from frugal_chains.pricing import _genai
from frugal_chains.pricing._aliases import Name, resolve_name
from frugal_chains.pricing._entries import Multiplier, PriceEntry, TierRule, matches, start_of
from frugal_chains.pricing._explain import Explanation, explained
from frugal_chains.pricing._genai import Listing
from frugal_chains.pricing._resolve import Overrides, corrections_of, edges, resolve
from frugal_chains.pricing._rules import TIER_RULES
from frugal_chains.pricing._tables import ServiceTier

BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


def history(
    model: str, provider: str | None, tier: ServiceTier, at: datetime, overrides: Overrides
) -> tuple[Explanation, ...]:
    """The price from the beginning, then at each known change; oldest first.

    Changes within a day are listed for the day of `at` alone.
    """
    name = resolve_name(model, provider, overrides.aliases)
    listing = _genai.find_listing(name.provider, name.model) if name.provider else None
    midnight = at.replace(hour=0, minute=0, second=0, microsecond=0)
    hours = {midnight + timedelta(minutes=m) for m in edges(model, provider, midnight, overrides)}
    moments = {BEGINNING, *_dated(name, listing, overrides), *hours}
    found: list[Explanation] = []
    for moment in sorted(moments):
        line = explained(resolve(model, provider, tier, moment, overrides), tier, moment)
        if not found or _price_of(line) != _price_of(found[-1]):
            found.append(line)
    return tuple(found)


def _price_of(line: Explanation) -> tuple[object, ...]:
    return line.outcome, line.bands, line.fees


def _dated(name: Name, listing: Listing | None, overrides: Overrides) -> Iterator[datetime]:
    """Every day and hour at which a row that matches the model begins or ends."""
    own: tuple[TierRule | Multiplier | PriceEntry, ...] = (
        *TIER_RULES, *overrides.entries, *overrides.multipliers,
    )  # fmt: skip
    for row in (
        *corrections_of(name, listing),
        *(r for r in own if r.provider in ("*", name.provider) and matches(r.models, name.key)),
    ):
        yield from filter(None, (row.since, getattr(row, "until", None)))
    if listing is not None:
        yield from _listed_starts(listing)


def _listed_starts(listing: Listing) -> Iterator[datetime]:
    from genai_prices.types import ModelPrice, StartDateConstraint

    prices = listing.info.prices
    dated = () if isinstance(prices, ModelPrice) else prices
    for row in (*dated, *(listing.info.price_variants or ())):
        if isinstance(row.constraint, StartDateConstraint):
            yield start_of(row.constraint.start_date)
