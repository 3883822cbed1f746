"""A report as plain JSON: exact decimals as text, keys that stay."""

from __future__ import annotations

from typing import Any

from frugal_chains.ledger import Totals
from frugal_chains.report._facts import ReportFacts, known_cost_usd
from frugal_chains.report._money import exact_text
from frugal_chains.usage import COUNT_FIELDS


def report_json(facts: ReportFacts) -> dict[str, Any]:
    """The report for machines.

        {"ledger": url, "since": ISO time or null, "until": ISO time or null,
         "first_day": "2026-11-01", "last_day": "2026-11-07",
         "total": SUMS,
         "tables": [{"by": ["model"], "rows": [{"key": {"model": "gpt-4o"}, **SUMS}]}],
         "unpriced": [{"provider", "model", "attempts", "reasons": [text]}],
         "estimated_notes": [{"note", "attempts"}],
         "outcomes": [{"status", "error_kind", **SUMS}],
         "waiting": [file]}

    SUMS: `attempts`, `operations`, `unpriced`, `estimated` (attempts, integers), `cost_usd` (exact
    decimal as text; null when no attempt could be priced) and `usage` (one integer for each bucket
    of `Usage`; parents include their parts). The rows of every table sum to `total`.
    """
    return {
        "ledger": facts.ledger,
        "since": facts.since and facts.since.isoformat(),
        "until": facts.until and facts.until.isoformat(),
        "first_day": facts.days[0],
        "last_day": facts.days[1],
        "total": _sums(facts.total),
        "tables": [
            {
                "by": list(table.by),
                "rows": [{"key": dict(row.key), **_sums(row)} for row in table.rows],
            }
            for table in facts.tables
        ],
        "unpriced": [
            {
                "provider": model.provider,
                "model": model.model,
                "attempts": model.attempts,
                "reasons": list(model.reasons),
            }
            for model in facts.unpriced
        ],
        "estimated_notes": [{"note": note, "attempts": count} for note, count in facts.notes],
        "outcomes": [{**line.key, **_sums(line)} for line in facts.outcomes],
        "waiting": list(facts.waiting),
    }


def _sums(line: Totals) -> dict[str, Any]:
    cost = known_cost_usd(line)
    return {
        "attempts": line.attempts,
        "operations": line.operations,
        "cost_usd": None if cost is None else exact_text(cost),
        "unpriced": line.unpriced,
        "estimated": line.estimated,
        "usage": {name: getattr(line.usage, name) for name in COUNT_FIELDS},
    }
