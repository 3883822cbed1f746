"""`WatchFacts`: what a running application is doing, read from its ledger."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

from frugal_chains.ledger import Attempt, Ledger, Totals
from frugal_chains.money import usd_from_nanos
from frugal_chains.report._facts import NOTHING, summed
from frugal_chains.usage import Usage

LAST_CALLS: Final = 8
_MINUTE_S: Final = 60
_FEW: Final = 500
"""Attempts that may be read to find the last of them."""
_BUSY: Final = timedelta(seconds=2)
"""How far back to read where even a minute has many."""
_BUDGET: Final = re.compile(r"\$?(\d{1,12}(?:\.\d{1,9})?)/(hour|day|month|lifetime)")


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedLimit:
    """A limit that the person who watches has named: a ledger keeps sums of budgets, not limits."""

    usd: Decimal
    per: str
    """`hour`, `day` or `month` of the UTC calendar, or `lifetime`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetLine:
    """A limit and what is spent of it. Calls under way and unpriced calls are not in it."""

    limit: WatchedLimit
    spent_usd: Decimal
    unpriced: int

    @property
    def left_usd(self) -> Decimal:
        return max(self.limit.usd - self.spent_usd, Decimal(0))


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedSpan:
    """A stretch of time that ends now."""

    name: str
    total: Totals
    failed: int
    """Attempts that ended in an error or were given up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LastCall:
    """One attempt, without anything that was said in it."""

    at: datetime
    provider: str
    model: str
    purpose: str
    status: str
    error_kind: str
    latency_s: float | None
    usage: Usage
    cost_usd: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchFacts:
    """One look at a ledger."""

    ledger: str
    at: datetime
    spans: tuple[WatchedSpan, ...]
    """The last minute, the last hour, today."""
    calls_per_s: float
    """Attempts that started in the last minute, by the second."""
    models: tuple[Totals, ...]
    """Of today, the dearest first."""
    outcomes: tuple[Totals, ...]
    """What did not end well in the last hour, by status and kind."""
    budgets: tuple[BudgetLine, ...]
    last: tuple[LastCall, ...]
    """Of today or of the last hour, the newest first."""
    note: str = ""
    """Why this look is not of now."""


def budget_of(text: str) -> WatchedLimit:
    """The limit in `20/day`, `0.5/hour` or `$300/month`. Raises `ValueError`."""
    found = _BUDGET.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no budget: write 20/day, or per hour, month or lifetime")
    return WatchedLimit(usd=Decimal(found[1]), per=found[2])


def watch_facts(books: Ledger, *, now: datetime, limits: Sequence[WatchedLimit] = ()) -> WatchFacts:
    """One look. Cheap: it reads sums, and attempts of the last seconds alone.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    starts = {
        "last minute": now - timedelta(minutes=1),
        "last hour": now - timedelta(hours=1),
        "today": _start("day", now),
    }
    spans = {name: books.totals(["status"], start) for name, start in starts.items()}
    outcomes = books.totals(["status", "error_kind"], starts["last hour"])
    return WatchFacts(
        ledger=books.url,
        at=now,
        spans=tuple(_span(name, lines) for name, lines in spans.items()),
        calls_per_s=_attempts(spans["last minute"]) / _MINUTE_S,
        models=tuple(books.totals(["model"], starts["today"])),
        outcomes=tuple(line for line in outcomes if _failed(line)),
        budgets=tuple(_budget(books, limit, now) for limit in limits),
        last=_last(books, [(starts[n], _attempts(lines)) for n, lines in spans.items()], now),
    )


def _span(name: str, lines: Sequence[Totals]) -> WatchedSpan:
    return WatchedSpan(
        name=name,
        total=summed(lines, {}) if lines else NOTHING,
        failed=sum(line.attempts for line in lines if _failed(line)),
    )


def _attempts(lines: Iterable[Totals]) -> int:
    return sum(line.attempts for line in lines)


def _failed(line: Totals) -> bool:
    return line.key["status"] in ("error", "aborted")


def _budget(books: Ledger, limit: WatchedLimit, now: datetime) -> BudgetLine:
    lines = books.totals((), None if limit.per == "lifetime" else _start(limit.per, now))
    return BudgetLine(
        limit=limit,
        spent_usd=usd_from_nanos(sum(line.nanos for line in lines)),
        unpriced=sum(line.unpriced for line in lines),
    )


def _start(per: str, now: datetime) -> datetime:
    """The first moment of this hour, day or month, UTC."""
    hour = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    day = hour if per == "hour" else hour.replace(hour=0)
    return day.replace(day=1) if per == "month" else day


def _last(
    books: Ledger, spans: Sequence[tuple[datetime, int]], now: datetime
) -> tuple[LastCall, ...]:
    """The last attempts to start. Read are those of the longest span that has few, so that a look
    costs the same however busy the application is."""
    few = [start for start, attempts in spans if attempts <= _FEW]
    since = min(few, default=now - _BUSY)
    newest = deque(books.attempts(since=since), maxlen=LAST_CALLS)
    return tuple(_call(attempt) for attempt in reversed(newest))


def _call(attempt: Attempt) -> LastCall:
    return LastCall(
        at=attempt.at,
        provider=attempt.provider,
        model=attempt.model,
        purpose=attempt.purpose,
        status=attempt.status,
        error_kind=attempt.error_kind,
        latency_s=attempt.latency_s,
        usage=attempt.usage,
        cost_usd=attempt.cost_usd,
    )
