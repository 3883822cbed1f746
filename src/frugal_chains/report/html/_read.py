"""`page_facts`: what the page shows, read from a ledger."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import islice
from typing import Final

from frugal_chains.budgets import Budget
from frugal_chains.ledger import EffectTotals, Ledger, PeriodBooks, Totals
from frugal_chains.pricing import PriceBook
from frugal_chains.report._cache import CACHE_DAYS, CACHES, recent_since
from frugal_chains.report._facts import (
    DAYS,
    MODELS,
    OUTCOMES,
    PREFERRED_TAG,
    REASONS,
    WHOLE,
    Question,
    ReportFacts,
    Table,
    grouping,
    report_facts,
)
from frugal_chains.report._newest import newest_since
from frugal_chains.report.alerts import DAY_MODELS, Thresholds, alert_facts, find_alerts
from frugal_chains.report.html._budgets import budget_spends
from frugal_chains.report.html._facts import (
    LeverFacts,
    PageFacts,
    ScanFacts,
    WaterfallFacts,
)
from frugal_chains.report.html._scan import Scan
from frugal_chains.report.html._series import bill_series, cached_series, event_series, unit_of
from frugal_chains.report.html._waterfall import waterfall_of
from frugal_chains.savings import Waterfall

MOST_SCANNED: Final = 100_000
"""Attempts that are read one by one: a few seconds."""
MOST_TAGS: Final = 8
"""Each costs a reading of the sums by tag."""
_TAGS_FIRST: Final = (PREFERRED_TAG, "tenant", "team", "user", "customer")
_SERVED: Question = ("provider", "model")
_PURPOSES: Question = ("purpose",)
_DAY_EVENTS: Question = ("day", "status", "error_kind")
_HOURS: Final = (("hour", "model"), ("hour", "status", "error_kind"))
_ROWS: Final = 15
_BASE: Final[tuple[Question, ...]] = (
    WHOLE, MODELS, DAYS, REASONS, OUTCOMES, CACHES, _SERVED, _PURPOSES, DAY_MODELS, _DAY_EVENTS,
)  # fmt: skip
_DEFAULTS: Final = Thresholds()
Savings = Callable[[PeriodBooks], Waterfall | None]


def page_facts(
    ledger: Ledger,
    *,
    now: datetime,
    since: datetime | None = None,
    until: datetime | None = None,
    book: PriceBook | None = None,
    budgets: Sequence[Budget] = (),
    waterfall: WaterfallFacts | None = None,
    savings: Savings | None = None,
    lever: LeverFacts | None = None,
    limits: Thresholds = _DEFAULTS,
    most_scanned: int = MOST_SCANNED,
) -> PageFacts:
    """Everything about the attempts in `[since, until)`.

    Args:
        ledger: May be opened to be read only, and written by others meanwhile. Sums, charts, alerts
            and the waterfall are of one moment; single attempts, budgets and the days of caches may
            be of a later one.
        now: Aware, UTC: it stands on the page, and budgets are told as of now.
        since: None: from the beginning.
        until: None: to the end.
        book: For what a low share of the prompt cache costs; None: that is not told.
        budgets: As the application has them: a ledger keeps no limits.
        waterfall: What the levers saved.
        savings: Reads it in one moment with the sums, such as `period_waterfall`; None: as
            `waterfall` says.
        lever: What would save most next.
        limits: When a figure is an alert.
        most_scanned: Attempts read one by one, for latencies and repeated requests: the newest.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    tags, more = _tags(ledger)
    unit = unit_of(_days(ledger.totals(DAYS, since, until)))
    hours = _HOURS if unit == "hour" else ()
    asked = (*_BASE, *tags, *hours)
    answers, effects, saved = ledger.read_period(
        lambda books: (
            dict(zip(asked, books.totals_together(asked), strict=True)),
            books.effect_totals(("lever",)),
            None if savings is None else savings(books),
        ),
        since,
        until,
    )
    report = _report(ledger, answers, effects, since, until, book)
    report = replace(report, tables=_tables(answers, tags))
    by_model, by_event, period = answers[DAY_MODELS], answers[_DAY_EVENTS], report.days
    if unit == "hour":
        by_model, by_event = (answers[by] for by in _HOURS)
        times = [line.key["hour"] for line in by_model]
        period = (min(times), max(times)) if times else None
    scan = _scan(ledger, answers[DAYS], since, until, most=most_scanned)
    spends = budget_spends(ledger, budgets, now=now)
    judged = alert_facts(
        report, now=now, days=answers[DAY_MODELS], budgets=spends, repeats=scan.repeats
    )
    return PageFacts(
        made_at=now,
        report=report,
        unit=unit,
        bill=bill_series(by_model, unit, period),
        cached=cached_series(by_model, unit, period),
        events=event_series(by_event, unit, period),
        more_tags=more,
        scan=scan,
        budgets=spends,
        budgets_given=bool(budgets),
        waterfall=waterfall if saved is None else waterfall_of(saved),
        lever=lever,
        alerts=find_alerts(judged, limits),
    )


def _report(
    ledger: Ledger,
    answers: Mapping[Question, Sequence[Totals]],
    effects: Sequence[EffectTotals],
    since: datetime | None,
    until: datetime | None,
    book: PriceBook | None,
) -> ReportFacts:
    recent = recent_since(answers[DAYS], since)
    estimated = any(line.estimated for line in answers[WHOLE])
    return report_facts(
        answers,
        ledger=ledger.url,
        since=since,
        until=until,
        notes=ledger.estimated_notes(since=since, until=until) if estimated else (),
        waiting=ledger.store.inbox_files(),
        effects=effects,
        cache_days=ledger.totals(CACHE_DAYS, since=recent, until=until) if recent else (),
        book=book,
    )


def _days(lines: Sequence[Totals]) -> tuple[str, str] | None:
    days = [line.key["day"] for line in lines]
    return (min(days), max(days)) if days else None


def _tags(ledger: Ledger) -> tuple[tuple[Question, ...], tuple[str, ...]]:
    """Those that are asked for, as questions, and the names of the others."""
    names = ledger.tag_names()
    first = [name for name in _TAGS_FIRST if name in names]
    ordered = [*first, *(name for name in names if name not in first)]
    asked = tuple(grouping([f"tag:{name}"], names) for name in ordered[:MOST_TAGS])
    return asked, tuple(ordered[MOST_TAGS:])


def _tables(
    answers: Mapping[Question, Sequence[Totals]], tags: Sequence[Question]
) -> tuple[Table, ...]:
    purposes = [_PURPOSES] if len(answers[_PURPOSES]) > 1 else []
    shown = [tag for tag in tags if any(any(line.key.values()) for line in answers[tag])]
    return tuple(
        Table(by=by, rows=tuple(answers[by]), limit=_ROWS) for by in (_SERVED, *shown, *purposes)
    )


def _scan(
    ledger: Ledger,
    days: Sequence[Totals],
    since: datetime | None,
    until: datetime | None,
    *,
    most: int,
) -> ScanFacts:
    scan = Scan()
    start = newest_since(ledger, days, since, until, most=most)
    if days:
        scan.read(islice(ledger.attempts(since=start, until=until), most))
    return scan.facts(of=sum(line.attempts for line in days))
