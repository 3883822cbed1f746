"""A report as rich renderables: readable from 60 columns on, without colour, in any encoding."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table as Grid
from rich.text import Text

from frugal_chains.ledger import Totals
from frugal_chains.report._facts import (
    DAYS,
    ReportFacts,
    Table,
    UnpricedModel,
    known_cost_usd,
    summed,
)
from frugal_chains.report._money import aligned, count_text, plain_text, share_text, usd_text

WIDE = 72
"""Columns from which token counts have room."""
BAR_CELLS = 12


@dataclass(frozen=True, slots=True)
class _Column:
    head: str
    cell: Callable[[Totals], str]
    wide_only: bool = False
    when: Callable[[Totals], int] | None = None
    """Shown only if this is not 0 for the sum of the table."""


_COLUMNS = (
    _Column("calls", lambda line: f"{line.attempts:,}"),
    _Column("in", lambda line: count_text(line.usage.input_tokens), wide_only=True),
    _Column(
        "cached",
        lambda line: share_text(line.usage.cache_read_tokens, line.usage.input_tokens),
        wide_only=True,
        when=lambda line: line.usage.cache_read_tokens,
    ),
    _Column("out", lambda line: count_text(line.usage.output_tokens), wide_only=True),
    _Column(
        "estimated",
        lambda line: f"{line.estimated:,}",
        wide_only=True,
        when=lambda line: line.estimated,
    ),
    _Column("unpriced", lambda line: f"{line.unpriced:,}", when=lambda line: line.unpriced),
)


def report_view(facts: ReportFacts, *, width: int, ascii_only: bool = False) -> RenderableType:
    """The whole report, to be printed on a console of `width` columns."""
    parts: list[RenderableType] = [_header(facts)]
    for table in facts.tables:
        parts += ["", _table(table, width=width, ascii_only=ascii_only)]
    parts += [*_unpriced(facts.unpriced), *_estimated(facts), *_outcomes(facts.outcomes)]
    if facts.waiting:
        parts += ["", _waiting(facts.waiting)]
    return Group(*parts)


def _header(facts: ReportFacts) -> RenderableType:
    total, usage = facts.total, facts.total.usage
    first, last = facts.days
    grid = Grid.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    rows = (
        ("ledger", plain_text(facts.ledger)),
        ("days", (first if first == last else f"{first} to {last}") + " UTC" + _asked(facts)),
        ("cost", cost_sentence(total)),
        ("attempts", f"{total.attempts:,} in {total.operations:,} operations"),
        ("tokens", f"{usage.input_tokens:,} in, {usage.output_tokens:,} out"),
        ("cached", f"{share_text(usage.cache_read_tokens, usage.input_tokens)} of input tokens"),
        ("unpriced", f"{share_text(total.unpriced, total.attempts)} of attempts"),
        ("estimated", f"{share_text(total.estimated, total.attempts)} of attempts"),
    )
    for name, value in rows:
        grid.add_row(Text(name), Text(value, style="bold" if name == "cost" else ""))
    return grid


def _asked(facts: ReportFacts) -> str:
    """The period asked for, beside the one that has attempts."""
    edges = [
        f"{word} {at:%Y-%m-%d %H:%M}"
        for word, at in (("since", facts.since), ("until", facts.until))
        if at is not None
    ]
    return f" ({', '.join(edges)})" if edges else ""


def cost_sentence(total: Totals) -> str:
    """`$1.25 + 3 calls unpriced, 5 estimated`: a sum never without what it leaves out."""
    cost = known_cost_usd(total)
    known = "unknown" if cost is None else usd_text(cost)
    return (
        f"{known} + {total.unpriced:,} {_calls(total.unpriced)} unpriced, "
        f"{total.estimated:,} estimated"
    )


def _table(table: Table, *, width: int, ascii_only: bool) -> RenderableType:
    rows, total = _folded(table), summed(table.rows, {})
    columns = [
        column
        for column in _COLUMNS
        if (width >= WIDE or not column.wide_only) and (column.when is None or column.when(total))
    ]
    costs = aligned([_cost(line) for line in (*rows, total)])
    bars = _bars(table, ascii_only=ascii_only) if table.by == DAYS else [()] * len(rows)
    grid = _grid([f"by {_name(table.by[0])}", *map(_name, table.by[1:])])
    for column in columns:
        grid.add_column(column.head, justify="right", no_wrap=True)
    grid.add_column("cost".rjust(len(costs[0])), no_wrap=True)
    if table.by == DAYS:
        grid.add_column("", no_wrap=True)
    for line, cost, bar in zip(rows, costs[:-1], bars, strict=True):
        grid.add_row(*map(Text, (*_key(line), *(c.cell(line) for c in columns), cost, *bar)))
    grid.add_section()
    cells = ("total", *[""] * (len(table.by) - 1), *(c.cell(total) for c in columns), costs[-1])
    grid.add_row(*map(Text, cells), style="bold")
    return grid


def _grid(names: Iterable[str]) -> Grid:
    """A table whose first columns are names: they fold, figures never do."""
    grid = Grid(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, collapse_padding=True)
    for name in names:
        grid.add_column(Text(name), overflow="fold")
    return grid


def _name(dimension: str) -> str:
    return plain_text(dimension.removeprefix("tag:"))


def _folded(table: Table) -> list[Totals]:
    """The rows with a line of their own, and one line for all the others."""
    rows = list(table.rows)
    if table.limit is None or len(rows) <= table.limit:
        return rows
    if table.by == DAYS:
        early = len(rows) - table.limit
        return [summed(rows[:early], {"day": f"{early} earlier days"}), *rows[early:]]
    rest = rows[table.limit :]
    return [*rows[: table.limit], summed(rest, {table.by[0]: f"{len(rest)} others"})]


def _key(line: Totals) -> list[str]:
    return [plain_text(value) or "(none)" for value in line.key.values()]


def _cost(line: Totals) -> str:
    cost = known_cost_usd(line)
    return "unpriced" if cost is None else usd_text(cost)


def _bars(table: Table, *, ascii_only: bool) -> list[tuple[str, ...]]:
    """One bar a day, against the dearest day; anything above zero has at least one cell.

    The line of earlier days has none: many days beside one would compare nothing.
    """
    days = table.rows[-table.limit :] if table.limit else table.rows
    most = max(row.nanos for row in days)
    cell = "#" if ascii_only else "█"
    bars = [cell * -(-row.nanos * BAR_CELLS // most) if most else "" for row in days]
    return [("",)] * (len(table.rows) > len(days)) + [(bar,) for bar in bars]


def _unpriced(models: Sequence[UnpricedModel]) -> Iterable[RenderableType]:
    if not models:
        return
    count = sum(model.attempts for model in models)
    yield ""
    yield Text(f"Unpriced: {count:,} {_calls(count)} missing from the cost", style="bold")
    for model in models:
        served = f" ({model.provider})" if model.provider else ""
        yield Text(plain_text(f"{model.model or '(no model)'}{served}: {model.attempts:,}"))
        more = len(model.reasons) - 1
        also = f" (and {more:,} other reasons)" if more else ""
        yield _indented(plain_text(model.reasons[0] or "no reason given") + also)
        if model.model:
            yield _indented(f"what to do: {prices_command(model.model, model.provider)}")


def prices_command(model: str, provider: str) -> str:
    """The command that explains a model's price, ready for a shell."""
    asked = shlex.quote(plain_text(model))
    served = f" --provider {shlex.quote(plain_text(provider))}" if provider else ""
    return f"frugal prices {asked}{served}"


def _estimated(facts: ReportFacts) -> Iterable[RenderableType]:
    total = facts.total
    if not total.estimated:
        return
    share = share_text(total.estimated, total.attempts)
    yield ""
    yield Text(
        f"Estimated: {total.estimated:,} {_calls(total.estimated)} ({share}) with tokens that are "
        "not, or not wholly, the provider's word",
        style="bold",
    )
    for note, attempts in facts.notes:
        yield _indented(f"{attempts:,} x {plain_text(note)}")


def _outcomes(lines: Sequence[Totals]) -> Iterable[RenderableType]:
    if not lines:
        return
    costs = aligned([_cost(line) for line in lines])
    grid = _grid(("not ok", "kind"))
    grid.add_column("calls", justify="right", no_wrap=True)
    grid.add_column("cost".rjust(len(costs[0])), no_wrap=True)
    for line, cost in zip(lines, costs, strict=True):
        kind = plain_text(line.key["error_kind"]) or "-"
        grid.add_row(*map(Text, (line.key["status"], kind, f"{line.attempts:,}", cost)))
    yield ""
    yield grid


def _waiting(files: Sequence[str]) -> RenderableType:
    names = ", ".join(plain_text(name) for name in files)
    return Text(
        f"Not in this report: attempts that wait in {names}. They are taken in when the ledger "
        "is next opened for writing.",
        style="bold",
    )


def _indented(text: str) -> RenderableType:
    return Padding(Text(text, overflow="fold"), (0, 0, 0, 4))


def _calls(count: int) -> str:
    return "call" if count == 1 else "calls"
