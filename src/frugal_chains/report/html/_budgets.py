"""Budgets as they stand. A ledger keeps what was spent; the limits are the application's, so they
are given."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final

from frugal_chains.budgets import Budget
from frugal_chains.errors import FrugalError
from frugal_chains.ledger import Ledger
from frugal_chains.report.alerts import BudgetSpend

VALUES: Final = 10
"""Values of a tag whose budgets are shown: those with the most spent."""
_BUDGET: Final = re.compile(
    r"\$?(?P<limit>[0-9][0-9_,]*(?:\.[0-9]+)?)/(?P<per>hour|day|month|lifetime)"
    r"(?:/(?P<tag>[^/]+))?"
)


def budget_of(text: str) -> Budget:
    """A budget as it is typed: `500/month`, or `20/day/tenant` for each value of a tag.

    Raises:
        FrugalError: it is none.
    """
    found = _BUDGET.fullmatch(text.strip())
    if found is None:
        raise FrugalError(
            f"{text!r} is no budget: give USD per hour, day, month or lifetime, such as 500/month, "
            "or 20/day/tenant for each value of the tag 'tenant'"
        )
    limit = found["limit"].replace(",", "").replace("_", "")
    return Budget.usd(limit, per=found["per"], tag=found["tag"], on_exceeded="warn")  # type: ignore[arg-type]


def budget_spends(
    ledger: Ledger, budgets: Sequence[Budget], *, now: datetime
) -> tuple[BudgetSpend, ...]:
    """Each budget in the window that holds `now`; of those by tag one for each value. Budgets of
    single runs and operations are left out: they have no window.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    return tuple(
        spend
        for budget in budgets
        if not budget.meter.by_call
        for spend in _spends(ledger, budget, now)
    )


def _spends(ledger: Ledger, budget: Budget, now: datetime) -> Iterator[BudgetSpend]:
    meter = budget.meter
    start, end = meter.started_at(now), meter.ends_at(now)
    by = (f"tag:{meter.tag}",) if meter.tag else ()
    lines = ledger.totals(by, since=start, until=end)
    if not by and not lines:
        yield BudgetSpend(
            scope=_window(meter.window), limit_nanos=budget.limit_nanos, spent_nanos=0,
            start=start, end=end,
        )  # fmt: skip
    for line in lines[:VALUES]:
        value = f", {meter.tag}={line.key[by[0]] or '(none)'}" if by else ""
        yield BudgetSpend(
            scope=_window(meter.window) + value,
            limit_nanos=budget.limit_nanos,
            spent_nanos=line.nanos,
            start=start,
            end=end,
            unpriced=line.unpriced,
        )


def _window(window: str) -> str:
    """`rolling:3600.000000` as people say it."""
    kind, _, seconds = window.partition(":")
    return f"last {float(seconds):g} s" if kind == "rolling" else window
