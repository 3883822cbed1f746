"""A look at a running application, as rich renderables that fit into 80 columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final

from rich.console import Group, RenderableType
from rich.text import Text

from frugal_chains.ledger import Totals, shown_url
from frugal_chains.report._facts import known_cost_usd
from frugal_chains.report._figures import figure_table
from frugal_chains.report._layout import fields, title
from frugal_chains.report._money import count_text, plain_text, share_text
from frugal_chains.report._watch import BudgetLine, LastCall, WatchedSpan, WatchFacts

_MOST_MODELS: Final = 6
_MOST_OUTCOMES: Final = 4
_SPANS: Final = ("spend", "cost", "calls", "failed", "in", "cached", "out", "unpriced")
_BUDGETS: Final = ("budget", "limit", "spent", "left", "used")
_MODELS: Final = ("model today", "cost", "calls", "in", "cached", "out", "unpriced")
_OUTCOMES: Final = ("failed in the last hour", "calls")
_LAST: Final = ("last calls", "at", "status", "in", "cached", "out", "s", "cost")
_RANKS: Final = {"s": 5, "cached": 4, "out": 3, "in": 2, "used": 1}
"""Figures that are left out where room is short, the highest first."""
_CENT_OF_A_CENT: Final = Decimal("0.0001")


def watch_view(facts: WatchFacts, *, width: int = 80) -> RenderableType:
    """Spend and calls of the last minute, hour and day, by model, what failed, and the last calls.

    Amounts are rounded to the hundredth of a cent; `frugal report` has them exact.
    """
    return Group(*_parts(facts, width))


def _parts(facts: WatchFacts, width: int) -> Iterable[RenderableType]:
    rows = [
        ("ledger", plain_text(shown_url(facts.ledger))),
        ("at", f"{facts.at:%Y-%m-%d %H:%M:%S} UTC" + (f" ({facts.note})" if facts.note else "")),
        ("calls/s", f"{facts.calls_per_s:,.2f} over the last minute"),
    ]
    yield fields(rows)
    for heads, lines in _tables(facts):
        if lines:
            yield ""
            yield figure_table(heads, lines, width=width, ranks=_RANKS)
        if lines and heads is _MODELS and len(facts.models) > _MOST_MODELS:
            yield Text(f"and {len(facts.models) - _MOST_MODELS:,} more models")
    if not facts.last:
        yield ""
        today = facts.spans[-1].total.attempts
        yield title("No call in the last hour." if today else "No call today.")


def _tables(facts: WatchFacts) -> Iterable[tuple[Sequence[str], list[list[str]]]]:
    yield _SPANS, [_span(span) for span in facts.spans]
    yield _BUDGETS, [_budget(line) for line in facts.budgets]
    yield _MODELS, [_model(line) for line in facts.models[:_MOST_MODELS]]
    yield _OUTCOMES, [_outcome(line) for line in facts.outcomes[:_MOST_OUTCOMES]]
    yield _LAST, [_call(call, facts.at) for call in facts.last]


def _span(span: WatchedSpan) -> list[str]:
    cost, calls, *rest = _figures(span.total)
    return [span.name, cost, calls, f"{span.failed:,}", *rest]


def _model(line: Totals) -> list[str]:
    return [plain_text(line.key["model"]) or "(no model)", *_figures(line)]


def _figures(line: Totals) -> list[str]:
    """Cost, calls, input, cached share, output, unpriced."""
    usage = line.usage
    return [
        _usd(known_cost_usd(line)),
        f"{line.attempts:,}",
        count_text(usage.input_tokens),
        share_text(usage.cache_read_tokens, usage.input_tokens),
        count_text(usage.output_tokens),
        f"{line.unpriced:,}",
    ]


def _budget(line: BudgetLine) -> list[str]:
    limit = line.limit.usd
    used = "-" if not limit else f"{100 * line.spent_usd / limit:,.1f}%"
    spent = _usd(line.spent_usd) + (f" + {line.unpriced:,} unpriced" if line.unpriced else "")
    return [line.limit.per, _usd(limit), spent, _usd(line.left_usd), used]


def _outcome(line: Totals) -> list[str]:
    kind = line.key["error_kind"]
    return [plain_text(line.key["status"] + (f": {kind}" if kind else "")), f"{line.attempts:,}"]


def _call(call: LastCall, now: datetime) -> list[str]:
    usage = call.usage
    today = call.at.date() == now.date()
    status = call.status + (f": {call.error_kind}" if call.error_kind else "")
    return [
        plain_text(call.model) or "(no model)",
        f"{call.at:%H:%M:%S}" if today else f"{call.at:%m-%d %H:%M}",
        plain_text(status if call.purpose == "answer" else f"{status} ({call.purpose})"),
        count_text(usage.input_tokens),
        share_text(usage.cache_read_tokens, usage.input_tokens),
        count_text(usage.output_tokens),
        "-" if call.latency_s is None else f"{call.latency_s:,.1f}",
        _usd(call.cost_usd),
    ]


def _usd(usd: Decimal | None) -> str:
    """`$1.2300`, `<$0.0001` for what is less but not nothing, `unpriced` for what is not known."""
    if usd is None:
        return "unpriced"
    if 0 < usd < _CENT_OF_A_CENT:
        return f"<${_CENT_OF_A_CENT}"
    return f"${usd.quantize(_CENT_OF_A_CENT, ROUND_HALF_EVEN):,}"
