"""When a budget ends at its present pace."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from frugal_chains.report._money import share_text
from frugal_chains.report.alerts._facts import Alert, AlertFacts, BudgetSpend, Thresholds
from frugal_chains.report.alerts._words import amount, ordinal, short


def budget_alerts(facts: AlertFacts, limits: Thresholds) -> Iterator[Alert]:
    """One for each budget that is used up, or will be before its window ends."""
    for spend in facts.budgets:
        if spend.spent_nanos > spend.limit_nanos:
            yield _used_up(spend)
        elif ends := spent_at(spend, now=facts.now, least_share=limits.pace_least_share):
            yield _too_fast(spend, ends)
        elif spend.end is None and spend.spent_nanos >= limits.budget_near * spend.limit_nanos > 0:
            yield _nearly(spend)


def spent_at(spend: BudgetSpend, *, now: datetime, least_share: float) -> datetime | None:
    """When the limit is reached if the rest of the window is spent as fast as what has passed of
    it; None: not before its end, or too little has passed to say."""
    if spend.start is None or spend.end is None or spend.spent_nanos <= 0:
        return None
    passed, whole = now - spend.start, spend.end - spend.start
    if passed <= timedelta(0) or passed < least_share * whole:
        return None
    # The factor is at most whole / passed where it matters: no date overflows.
    if spend.spent_nanos * (whole / passed) <= spend.limit_nanos:
        return None
    return spend.start + passed * (spend.limit_nanos / spend.spent_nanos)


def projected_nanos(spend: BudgetSpend, *, now: datetime) -> int | None:
    """What the window will have cost at its end at this pace; None where it has no end, or has
    only begun."""
    if spend.start is None or spend.end is None or now <= spend.start:
        return None
    return round(spend.spent_nanos * ((spend.end - spend.start) / (now - spend.start)))


def _used_up(spend: BudgetSpend) -> Alert:
    return Alert(
        severity="serious",
        kind="budget",
        text=f"the budget [{short(spend.scope)}] is used up: {amount(spend.spent_nanos)} spent of "
        f"{amount(spend.limit_nanos)}",
        way_out="raise the limit, or let it stop or downgrade calls: on_exceeded='stop'",
    )


def _too_fast(spend: BudgetSpend, ends: datetime) -> Alert:
    return Alert(
        severity="warning",
        kind="budget",
        text=f"at this pace the budget [{short(spend.scope)}] ends {_when(spend, ends)}: "
        f"{amount(spend.spent_nanos)} of {amount(spend.limit_nanos)} "
        f"({share_text(spend.spent_nanos, spend.limit_nanos)}) is spent",
        way_out="raise the limit, or spend less: on_exceeded='downgrade' asks routers for a "
        "cheaper model",
    )


def _nearly(spend: BudgetSpend) -> Alert:
    return Alert(
        severity="warning",
        kind="budget",
        text=f"the budget [{short(spend.scope)}] is nearly used up: {amount(spend.spent_nanos)} of "
        f"{amount(spend.limit_nanos)} ({share_text(spend.spent_nanos, spend.limit_nanos)}) is "
        "spent",
        way_out="raise the limit, or spend less",
    )


def _when(spend: BudgetSpend, ends: datetime) -> str:
    """`on the 19th` in a window of days, `at 17:20 UTC` in a shorter one."""
    if spend.start is not None and spend.end is not None and (spend.end - spend.start).days <= 1:
        return f"at {ends:%H:%M} UTC"
    return f"on the {ordinal(ends.day)}"
