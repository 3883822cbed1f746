"""The rows our own price tables and a user's `prices.toml` are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fnmatch import fnmatchcase

from frugal_chains.pricing._tables import Bucket, PriceList, ServiceTier


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Times of the day, UTC, on some days of the week."""

    spans: tuple[tuple[int, int], ...]
    """`(first, end)` in minutes of the day; `end` is outside."""
    weekdays: frozenset[int] = frozenset(range(7))
    """Monday is 0."""
    except_on: frozenset[date] = frozenset()

    def active(self, at: datetime) -> bool:
        minute = at.hour * 60 + at.minute
        return (
            at.weekday() in self.weekdays
            and at.date() not in self.except_on
            and any(first <= minute < end for first, end in self.spans)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceEntry:
    """A dated row of a price table. Rows are appended; an old row is never overwritten.

    Exactly one of `prices` and `refuse` is set.
    """

    id: str
    provider: str
    models: tuple[str, ...]
    """Globs over the lower-case model id."""
    prices: PriceList | None = None
    refuse: str = ""
    """Why no price can be told, with the way out."""
    refuse_above_tokens: int = 0
    """With `refuse`: only requests with more input tokens than this are refused."""
    overlay: bool = False
    """True: replaces only the buckets and fees it names. False: replaces the whole price."""
    tiers: tuple[ServiceTier, ...] = ("standard",)
    since: datetime | None = None
    """Inclusive, UTC."""
    until: datetime | None = None
    """Exclusive, UTC."""
    window: Window | None = None
    factors: Mapping[ServiceTier, Decimal] = field(default_factory=dict)
    """Other tiers as multiples of `prices`, fees excepted."""
    source: str = ""

    def active(self, provider: str, model: str, at: datetime) -> bool:
        return (
            self.provider in ("*", provider) and matches(self.models, model) and self.active_at(at)
        )

    def active_at(self, at: datetime) -> bool:
        return within(at, self.since, self.until) and (
            self.window is None or self.window.active(at)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TierRule:
    """A provider's published rule for a service tier, for days or models its price list omits."""

    id: str
    provider: str
    models: tuple[str, ...]
    tier: ServiceTier
    since: datetime
    factor: Decimal | None = None
    """Of the standard price of that day. None: the listed tier price already held then."""
    buckets: tuple[Bucket, ...] = ()
    """What the rule prices; empty: whatever the listed tier price names."""
    source: str = ""

    def active(self, provider: str, model: str, tier: ServiceTier, at: datetime) -> bool:
        return (
            self.tier == tier
            and self.provider == provider
            and matches(self.models, model)
            and within(at, self.since, None)
        )


@dataclass(frozen=True, slots=True)
class BilledAs:
    """A bucket without a price of its own is billed at another bucket's rate."""

    provider: str
    models: tuple[str, ...]
    bucket: Bucket
    rate_of: Bucket
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Multiplier:
    """What a user pays on top of a list price: a discount, or a tier's factor."""

    provider: str
    models: tuple[str, ...]
    since: datetime | None = None
    until: datetime | None = None
    discount: Decimal | None = None
    """Of the whole price, fees included: 0.9 pays 90 % of it."""
    factors: Mapping[ServiceTier, Decimal] = field(default_factory=dict)
    """Of the standard token prices, in place of the listed tier price."""

    def active(self, provider: str, model: str, at: datetime) -> bool:
        return (
            self.provider in ("*", provider)
            and matches(self.models, model)
            and within(at, self.since, self.until)
        )


def matches(globs: Sequence[str], model: str) -> bool:
    """Whether a lower-case model id matches any of the lower-case globs."""
    return any(fnmatchcase(model, glob) for glob in globs)


def within(at: datetime, since: datetime | None, until: datetime | None) -> bool:
    return (since is None or at >= since) and (until is None or at < until)


def utc(year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> datetime:
    return datetime(year, month, day, hour, minute, tzinfo=UTC)


def start_of(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def end_of(day: date) -> datetime:
    """The first moment after `day`."""
    return start_of(day) + timedelta(days=1)
