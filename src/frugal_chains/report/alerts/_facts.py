"""What alerts are decided from, and what they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from frugal_chains.report._cache import ModelCache

Severity = Literal["serious", "warning"]
Kind = Literal["spike", "cache drop", "duplicates", "errors", "rate limits", "budget", "unpriced"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One thing to look at: what happened, in numbers, and what to do about it."""

    severity: Severity
    kind: Kind
    text: str
    """One sentence with its numbers. Names in it come from outside: escape it."""
    way_out: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """When a figure is worth an alert. Shares are from 0 to 1.

    Those of duplicates are the ones the project was asked for. The z-score is the one of Iglewicz
    and Hoaglin (1993, How to Detect and Handle Outliers, section 3.3). The others are our own
    choice: high enough that a quiet week has no alert.
    """

    spike_z: float = 3.5
    """Modified z-score: 0.6745 x distance from the median / median absolute deviation."""
    spike_ratio: float = 1.5
    """Times the median, too: where all days are alike, a small rise has a high score."""
    spike_least_nanos: int = 1_000_000_000
    """Nano-USD above the median: $1. Less is not worth a look."""
    spike_before_days: int = 14
    """Calendar days that a day is compared with: two weeks, as weekends differ."""
    spike_least_days: int = 5
    """Days with attempts among these, at least."""
    recent_days: int = 7
    """Up to the last day of the report: what is older is no news."""
    repeats_warning: float = 0.10
    repeats_serious: float = 0.20
    errors_warning: float = 0.05
    errors_serious: float = 0.20
    rate_limits_warning: float = 0.02
    rate_limits_serious: float = 0.10
    unpriced_warning: float = 0.01
    unpriced_serious: float = 0.10
    least_attempts: int = 20
    """Below, a share says nothing."""
    least_events: int = 5
    """Errors, or rate limits: one of a few calls is no state of things."""
    pace_least_share: float = 0.05
    """Of a budget's window that must have passed before its pace is told."""
    budget_near: float = 0.90
    """Of a limit without an end to its window: used up so far is a warning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DayBill:
    """One day, UTC."""

    day: str
    """`2026-11-20`."""
    nanos: int
    by_model: Mapping[str, int] = field(default_factory=dict)
    """Nano-USD; may be empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RepeatShare:
    """Requests that were sent again, the same to the last token, among those with fingerprints."""

    requests: int
    again: int
    """Of these, those that had been sent and answered before."""
    nanos: int
    """What sending them again cost, as far as it is priced."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetSpend:
    """A budget as it stands in one window."""

    scope: str
    """`month`, or `day, tenant=acme`."""
    limit_nanos: int
    spent_nanos: int
    start: datetime | None
    """Of the window; None: since ever. Aware, UTC."""
    end: datetime | None
    """Of a calendar window; None: it rolls, or never ends."""
    unpriced: int = 0
    """Attempts in the window whose cost is unknown: `spent_nanos` is the least it can be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertFacts:
    """What is looked at."""

    now: datetime
    """Aware, UTC."""
    attempts: int = 0
    unpriced: int = 0
    errors: int = 0
    """Attempts that ended with an error, rate limits among them."""
    rate_limits: int = 0
    days: tuple[DayBill, ...] = ()
    """Those with attempts, in their order."""
    caches: tuple[ModelCache, ...] = ()
    repeats: RepeatShare | None = None
    """None: no request has a fingerprint."""
    budgets: tuple[BudgetSpend, ...] = ()
