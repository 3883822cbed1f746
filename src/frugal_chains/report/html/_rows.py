"""Tables and budgets, in the form the template takes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from frugal_chains.ledger import Totals
from frugal_chains.report._cache import MIN_ATTEMPTS, ModelCache
from frugal_chains.report._facts import Table, summed
from frugal_chains.report._money import share_text
from frugal_chains.report._terminal_cache import MAX_MODELS
from frugal_chains.report.alerts import BudgetSpend
from frugal_chains.report.alerts._pace import projected_nanos, spent_at
from frugal_chains.report.html import _says, _text

NONE_TEXT: Final = "(none)"
_TIMES: Final = 10
"""Of a limit: from here on percents say less."""


def told_caches(caches: Sequence[ModelCache]) -> list[ModelCache]:
    """Models that were called often enough to tell, or have used their cache."""
    told = [c for c in caches if c.attempts >= MIN_ATTEMPTS or c.read_tokens + c.written_tokens]
    return told[:MAX_MODELS]


def table_rows(table: Table) -> Mapping[str, Any]:
    heads = [by.removeprefix("tag:") for by in table.by]
    rows = [
        {"names": [value or NONE_TEXT for value in line.key.values()], "line": line}
        for line in _folded(table)
    ]
    return {
        "title": _text.listed(heads[-1:]),
        "heads": heads,
        "rows": rows,
        "unpriced": any(line.unpriced for line in table.rows),
    }


def _folded(table: Table) -> Iterator[Totals]:
    limit = table.limit or len(table.rows)
    yield from table.rows[:limit]
    if rest := table.rows[limit:]:
        names = [*[" "] * (len(table.by) - 1), f"{len(rest):,} more"]  # the last name stays shown
        yield summed(rest, dict(zip(table.by, names, strict=True)))


def budget_row(spend: BudgetSpend, now: datetime, money: _text.Money) -> Mapping[str, Any]:
    ends = spent_at(spend, now=now, least_share=0.0)
    over = spend.spent_nanos > spend.limit_nanos
    passed = None
    if spend.start is not None and spend.end is not None:
        passed = (now - spend.start) / (spend.end - spend.start)
    says = _says.budget_says(
        spend,
        projected_nanos(spend, now=now),
        f"on {_text.time(ends)}" if ends and not over else "",
        money,
    )
    share = spend.spent_nanos / spend.limit_nanos if spend.limit_nanos else float(over)
    return {
        "spend": spend, "share": share, "share_text": _of_limit(spend), "passed": passed,
        "bad": over or bool(ends), "says": says,
    }  # fmt: skip


def _of_limit(spend: BudgetSpend) -> str:
    """A share that may be more than the whole."""
    spent, limit = spend.spent_nanos, spend.limit_nanos
    if spent <= limit or not limit:
        return share_text(spent, limit)
    return f"{spent / limit:,.0f} times" if spent >= _TIMES * limit else f"{spent / limit:,.0%}"
