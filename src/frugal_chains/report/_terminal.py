"""A report as rich renderables: readable from 60 columns on, without colour, in any encoding."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.text import Text

from frugal_chains.ledger import Totals, shown_url
from frugal_chains.money import usd_text
from frugal_chains.report._facts import (
    DAYS,
    ReportFacts,
    Table,
    UnpricedModel,
    known_cost_usd,
    summed,
)
from frugal_chains.report._layout import add_amounts, fields, indented, name_table, title
from frugal_chains.report._money import aligned, count_text, plain_text, share_text
from frugal_chains.report._terminal_cache import cache_lines
from frugal_chains.report._terminal_effects import effect_lines
from frugal_chains.report._terminal_savings import savings_lines

BAR_CELLS = 12
MAX_MODELS = 10
"""Unpriced models that are explained one by one."""
NAME_CELLS = 16
"""Columns that a name may ask for before figures that can be left out are left out."""


@dataclass(frozen=True, slots=True)
class _Column:
    """A figure of every line. Where room is short the highest rank goes first; rank 0 stays."""

    head: str
    cell: Callable[[Totals], str]
    rank: int = 0
    when: Callable[[Totals], int] | None = None
    """Shown only if this is not 0 for the sum of the table."""


_COLUMNS = (
    _Column("calls", lambda line: f"{line.attempts:,}"),
    _Column("in", lambda line: count_text(line.usage.input_tokens), rank=2),
    _Column(
        "cached",
        lambda line: share_text(line.usage.cache_read_tokens, line.usage.input_tokens),
        rank=4,
        when=lambda line: line.usage.cache_read_tokens,
    ),
    _Column("out", lambda line: count_text(line.usage.output_tokens), rank=3),
    _Column("estimated", lambda line: f"{line.estimated:,}", 5, lambda line: line.estimated),
    _Column("unpriced", lambda line: f"{line.unpriced:,}", 0, lambda line: line.unpriced),
)


@dataclass(frozen=True, slots=True)
class _Figures:
    """A column ready to print: every cell, the head included, has the same width."""

    cells: Sequence[str]
    rank: int = 0

    @classmethod
    def right(cls, head: str, cells: Sequence[str], rank: int = 0) -> _Figures:
        width = max(map(len, (head, *cells)))
        return cls([cell.rjust(width) for cell in (head, *cells)], rank)


def report_view(facts: ReportFacts, *, width: int, encoding: str = "utf-8") -> RenderableType:
    """The whole report, to be printed on a console of `width` columns in `encoding`."""
    facts = _encodable(facts, encoding)
    ascii_only = not encoding.startswith("utf")  # as rich sees it, for its boxes
    parts: list[RenderableType] = [_header(facts)] if facts.total.attempts else [*_nothing(facts)]
    if facts.total.attempts:
        for table in facts.tables:
            parts += ["", _table(table, width=width, ascii_only=ascii_only)]
    parts += [*_unpriced(facts.unpriced), *_estimated(facts), *_outcomes(facts.outcomes)]
    parts += [*cache_lines(facts.caches), *effect_lines(facts.effects)]
    parts += savings_lines(facts.savings, width=width, ascii_only=ascii_only)
    parts += _missing(facts)
    return Group(*parts)


def _encodable(facts: ReportFacts, encoding: str) -> ReportFacts:
    """The same with every name as `encoding` can write it: what is escaped later than here is wider
    than the column that was measured for it."""

    def text(name: str) -> str:
        return name.encode(encoding, "backslashreplace").decode(encoding)

    def line(totals: Totals) -> Totals:
        return replace(totals, key={text(k): text(v) for k, v in totals.key.items()})

    return replace(
        facts,
        ledger=text(facts.ledger),
        tables=tuple(
            replace(table, by=tuple(map(text, table.by)), rows=tuple(map(line, table.rows)))
            for table in facts.tables
        ),
        unpriced=tuple(
            UnpricedModel(
                provider=text(model.provider),
                model=text(model.model),
                attempts=model.attempts,
                reasons=tuple(map(text, model.reasons)),
            )
            for model in facts.unpriced
        ),
        outcomes=tuple(map(line, facts.outcomes)),
        effects=tuple(
            replace(done, key={name: text(value) for name, value in done.key.items()})
            for done in facts.effects
        ),
        caches=tuple(
            replace(cache, provider=text(cache.provider), model=text(cache.model))
            for cache in facts.caches
        ),
        notes=tuple((text(note), count) for note, count in facts.notes),
        waiting=tuple(map(text, facts.waiting)),
        damaged=tuple(map(text, facts.damaged)),
    )


def _nothing(facts: ReportFacts) -> Iterable[RenderableType]:
    yield fields([("ledger", plain_text(shown_url(facts.ledger)))])
    yield ""
    if facts.since or facts.until:
        period = _asked(facts).strip(" ()")
        yield title(f"No attempt {period}: leave out --since and --until to see them all.")
    else:
        yield title(
            "No attempt has been booked yet. Add CostCallbackHandler() to a LangChain call, or "
            "wrap LlamaIndex calls in track_cost()."
        )


def _header(facts: ReportFacts) -> RenderableType:
    total, usage = facts.total, facts.total.usage
    first, last = facts.days or ("", "")
    rows = (
        ("ledger", plain_text(shown_url(facts.ledger))),
        ("days", (first if first == last else f"{first} to {last}") + " UTC" + _asked(facts)),
        ("cost", cost_sentence(total)),
        ("attempts", f"{total.attempts:,}"),
        ("operations", f"{total.operations:,} started"),
        ("tokens", f"{usage.input_tokens:,} in, {usage.output_tokens:,} out"),
        ("cached", f"{share_text(usage.cache_read_tokens, usage.input_tokens)} of input tokens"),
        ("unpriced", f"{share_text(total.unpriced, total.attempts)} of attempts"),
        ("estimated", f"{share_text(total.estimated, total.attempts)} of attempts"),
    )
    return fields(rows, strong="cost")


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
    rows = _folded(table)
    names = [["by " + _name(table.by[0]), *map(_name, table.by[1:])], *map(_key, rows)]
    asked = [min(NAME_CELLS, max(map(cell_len, column))) for column in zip(*names, strict=True)]
    figures = _fitting(
        _figures(table, [*rows, summed(table.rows, {})], ascii_only=ascii_only),
        room=width - sum(2 + cells for cells in asked),
    )
    grid = name_table(names[0])
    for column in figures:
        grid.add_column(column.cells[0], no_wrap=True)
    for index, name in enumerate(names[1:], start=1):
        grid.add_row(*map(Text, (*name, *(column.cells[index] for column in figures))))
    grid.add_section()
    total = ["total", *[""] * (len(table.by) - 1)]
    grid.add_row(*map(Text, (*total, *(column.cells[-1] for column in figures))), style="bold")
    return grid


def _figures(table: Table, lines: Sequence[Totals], *, ascii_only: bool) -> Iterator[_Figures]:
    """Every figure that the lines have, the last of which is their sum."""
    for column in _COLUMNS:
        if column.when is None or column.when(lines[-1]):
            yield _Figures.right(column.head, list(map(column.cell, lines)), column.rank)
    yield _Figures.right("cost", aligned(list(map(_cost, lines))))
    if table.by == DAYS:
        yield _Figures(["", *_bars(table, ascii_only=ascii_only), ""], rank=1)


def _fitting(figures: Iterable[_Figures], *, room: int) -> list[_Figures]:
    """Those that fit beside the names, the ones that matter least left out first."""
    shown = list(figures)
    while any(column.rank for column in shown) and room < sum(
        2 + max(map(len, column.cells)) for column in shown
    ):
        shown.remove(max(shown, key=lambda column: column.rank))
    return shown


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
    return [*rows[: table.limit], summed(rest, {table.by[0]: f"{len(rest)} more"})]


def _key(line: Totals) -> list[str]:
    return [plain_text(value) or "(none)" for value in line.key.values()]


def _cost(line: Totals) -> str:
    cost = known_cost_usd(line)
    return "unpriced" if cost is None else usd_text(cost)


def _bars(table: Table, *, ascii_only: bool) -> list[str]:
    """One bar a day, against the dearest day; anything above zero has at least one cell.

    The line of earlier days has none: many days beside one would compare nothing.
    """
    days = table.rows[-table.limit :] if table.limit else table.rows
    most = max(row.nanos for row in days)
    cell = "#" if ascii_only else "█"
    bars = [cell * -(-row.nanos * BAR_CELLS // most) if most else "" for row in days]
    return [*[""] * (len(days) < len(table.rows)), *bars]


def _unpriced(models: Sequence[UnpricedModel]) -> Iterable[RenderableType]:
    if not models:
        return
    count = sum(model.attempts for model in models)
    yield ""
    yield title(f"Unpriced: {count:,} {_calls(count)} missing from the cost")
    for model in models[:MAX_MODELS]:
        served = f" ({model.provider})" if model.provider else ""
        yield Text(plain_text(f"{model.model or '(no model)'}{served}: {model.attempts:,}"))
        more = len(model.reasons) - 1
        also = f" (and {more:,} other {'reason' if more == 1 else 'reasons'})" if more else ""
        yield indented(plain_text(model.reasons[0] or "no reason given") + also)
        if model.model:
            yield indented(f"what to do: {prices_command(model.model, model.provider)}")
    if len(models) > MAX_MODELS:
        yield Text(f"and {len(models) - MAX_MODELS:,} more models, all in --json")


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
    yield title(
        f"Estimated: {total.estimated:,} {_calls(total.estimated)} ({share}) with tokens that are "
        "not, or not wholly, the provider's word"
    )
    for note, attempts in facts.notes:
        yield indented(f"{attempts:,} x {plain_text(note)}")


def _outcomes(lines: Sequence[Totals]) -> Iterable[RenderableType]:
    if not lines:
        return
    grid = name_table(("not ok", "kind"))
    grid.add_column("calls", justify="right", no_wrap=True)
    costs = add_amounts(grid, "cost", [_cost(line) for line in lines])
    for line, cost in zip(lines, costs, strict=True):
        kind = plain_text(line.key["error_kind"]) or "-"
        grid.add_row(*map(Text, (line.key["status"], kind, f"{line.attempts:,}", cost)))
    yield ""
    yield grid


def _missing(facts: ReportFacts) -> Iterable[RenderableType]:
    """What the sums leave out because it is not in the ledger."""
    if facts.waiting:
        yield ""
        yield title(
            f"Not in this report: attempts that wait in {_names(facts.waiting)}. They are taken in "
            "when the ledger is next opened for writing."
        )
    if facts.damaged:
        yield ""
        yield title(
            f"Not in this report: attempts in {_names(facts.damaged)} that could not be taken in. "
            "frugal doctor says what to do."
        )


def _names(files: Sequence[str]) -> str:
    return ", ".join(map(plain_text, files))


def _calls(count: int) -> str:
    return "call" if count == 1 else "calls"
