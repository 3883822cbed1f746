"""The ledger beside a provider's export, as rich renderables that fit into 80 columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final

from rich.console import Group, RenderableType
from rich.text import Text

from frugal_chains.money import usd_from_nanos
from frugal_chains.reconcile import Difference, Line, Reconciliation, Spread
from frugal_chains.report._figures import figure_table
from frugal_chains.report._layout import fields, indented, title
from frugal_chains.report._money import plain_text

_MOST_DAYS: Final = 14
_MOST_MODELS: Final = 12
_NAMES: Final = {
    "usd": "cost",
    "input_tokens": "input tokens",
    "cache_read_tokens": "  read from cache",
    "cache_write_tokens": "  written to cache",
    "cache_write_5m_tokens": "    for 5 minutes",
    "cache_write_1h_tokens": "    for 1 hour",
    "output_tokens": "output tokens",
    "requests": "requests",
    "web_searches": "web searches",
}
_RANKS: Final = {"largest day": 2, "difference": 1}
"""Figures that are left out where room is short, the highest first."""
_TENTH: Final = Decimal("0.1")


def reconcile_view(
    found: Reconciliation, *, within_percent: Decimal, width: int = 80
) -> RenderableType:
    """The totals, the error bar, days and models by the first judged measure, what may explain the
    difference, and whether it is within so many percent."""
    return Group(*_parts(found, within_percent, width))


def _parts(found: Reconciliation, within_percent: Decimal, width: int) -> Iterable[RenderableType]:
    yield fields(
        [
            ("export", plain_text(", ".join(found.files))),
            ("provider", plain_text(found.provider)),
            ("days", _days(found)),
        ]
    )
    yield ""
    yield _table(found, width)
    yield ""
    yield _error_bar(found, width)
    measure = found.judged[0]
    if len(found.days) > 1:
        yield ""
        yield _by(f"{_NAMES[measure]} by day", measure, found.days, _MOST_DAYS, width)
    if len(found.models) > 1 or any(line.model for line in found.models):
        yield ""
        yield _by(f"{_NAMES[measure]} by model", measure, found.models, _MOST_MODELS, width)
    if found.reasons:
        yield ""
        yield title("What is known to make them differ")
        for reason in found.reasons:
            yield indented(plain_text(reason.text))
    yield ""
    yield title(_verdict(found, within_percent))


def _days(found: Reconciliation) -> str:
    first, last = found.first_day, found.last_day
    return (first if first == last else f"{first} to {last}") + " UTC"


def _table(found: Reconciliation, width: int) -> RenderableType:
    rows = [(_NAMES[m], m, found.total.differences[m]) for m in found.measures]
    return _grid("", rows, width)


def _by(head: str, measure: str, lines: Sequence[Line], most: int, width: int) -> RenderableType:
    """The days with the largest differences, in their order; the first models."""
    shown = list(lines)
    if len(lines) > most:
        by_size = sorted(lines, key=lambda line: -abs(line.differences[measure].amount))
        shown = [line for line in lines if line in by_size[:most]]
    rows = [(_name(line), measure, line.differences[measure]) for line in shown]
    grid = _grid(head, rows, width)
    left_out = len(lines) - len(shown)
    if not left_out:
        return grid
    return Group(grid, Text(f"and {left_out:,} with smaller differences, all in --json"))


def _name(line: Line) -> str:
    if line.day:
        return line.day
    also = [name for name in line.names if name != line.model]
    return plain_text((line.model or "(all models)") + (f" ({', '.join(also)})" if also else ""))


def _grid(head: str, rows: Sequence[tuple[str, str, Difference]], width: int) -> RenderableType:
    lines = [
        (name, _amount(m, d.export), _amount(m, d.ledger), _signed(m, d.amount),
         percent_text(d.percent))
        for name, m, d in rows
    ]  # fmt: skip
    heads = (head, "export", "ledger", "difference", "%")
    return figure_table(heads, lines, width=width, ranks=_RANKS)


def _amount(measure: str, value: int) -> str:
    """Money to the hundredth of a cent: the digits behind it are in the JSON."""
    if measure != "usd":
        return f"{value:,}"
    usd = usd_from_nanos(value).quantize(Decimal("0.0001"), ROUND_HALF_EVEN)
    return f"{'-' if usd < 0 else ''}${abs(usd):,}"


def _signed(measure: str, value: int) -> str:
    text = _amount(measure, value)
    return text if value <= 0 else f"+{text}"


def percent_text(percent: Decimal | None) -> str:
    """`+0.4%`, `0%` where both agree, `>-0.1%` where they nearly do, `-` where nothing compares."""
    if percent is None:
        return "-"
    if percent == 0:
        return "0%"
    rounded = percent.quantize(_TENTH, ROUND_HALF_EVEN)
    if rounded == 0:
        return "<+0.1%" if percent > 0 else ">-0.1%"
    return f"{rounded:+,f}%"


def _error_bar(found: Reconciliation, width: int) -> RenderableType:
    """How far days are off, and what only one side has."""
    rows = [(_NAMES[measure], *_bar(spread)) for measure, spread in found.spreads.items()]
    heads = ("error bar", "a day, mean", "largest day", "not in ledger", "not in export")
    return figure_table(heads, rows, width=width, ranks=_RANKS)


def _bar(spread: Spread) -> tuple[str, str, str, str]:
    day = f"{spread.largest_day} {percent_text(spread.largest_percent)}"
    return (
        _share(spread.mean_absolute_percent),
        day if spread.largest_percent else "-",
        _share(spread.unseen_by_ledger),
        _share(spread.unseen_by_export),
    )


def _share(percent: Decimal | None) -> str:
    return percent_text(percent).lstrip("+").replace("<+", "<")


def _verdict(found: Reconciliation, within_percent: Decimal) -> str:
    limit = f"{within_percent.normalize():f}%"
    out = [
        f"{_NAMES[m]} ({percent_text(found.total.differences[m].percent)})"
        for m in found.judged
        if not found.total.differences[m].within(within_percent)
    ]
    if not out:
        return f"Within {limit}."
    return f"Not within {limit}: {', '.join(out)}."
