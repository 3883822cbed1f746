"""From a report to what alerts are decided from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

from frugal_chains.ledger import Totals
from frugal_chains.report._facts import ReportFacts
from frugal_chains.report.alerts._facts import AlertFacts, BudgetSpend, DayBill, RepeatShare

DAY_MODELS: Final = ("day", "model")
"""What to ask a ledger for the bill of each day: in one reading with the totals of the report, so
that both are of one moment."""


def alert_facts(
    report: ReportFacts,
    *,
    now: datetime,
    days: Sequence[Totals],
    budgets: Sequence[BudgetSpend] = (),
    repeats: RepeatShare | None = None,
) -> AlertFacts:
    """What `find_alerts` looks at.

    Args:
        report: Whose outcomes, caches and unpriced attempts are judged.
        now: Aware, UTC.
        days: The answer to `DAY_MODELS`; by `day` alone no spike names a model.
        budgets: As they stand.
        repeats: What fingerprints tell; None without any.
    """
    failed = [line for line in report.outcomes if line.key["status"] == "error"]
    limited = [line for line in failed if line.key["error_kind"] == "rate_limit"]
    return AlertFacts(
        now=now,
        attempts=report.total.attempts,
        unpriced=report.total.unpriced,
        errors=sum(line.attempts for line in failed),
        rate_limits=sum(line.attempts for line in limited),
        days=day_bills(days),
        caches=report.caches,
        repeats=repeats,
        budgets=tuple(budgets),
    )


def day_bills(lines: Iterable[Totals]) -> tuple[DayBill, ...]:
    """In their order."""
    models: dict[str, dict[str, int]] = {}
    for line in lines:
        of_day = models.setdefault(line.key["day"], {})
        model = line.key.get("model", "")
        of_day[model] = of_day.get(model, 0) + line.nanos
    return tuple(
        DayBill(
            day=day,
            nanos=sum(models[day].values()),
            by_model={} if [*models[day]] == [""] else models[day],
        )
        for day in sorted(models)
    )
