"""What a sweep has found, for a terminal."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.text import Text

from frugal_chains.replay import Setup, Sweep, SweepPoint
from frugal_chains.report._layout import add_amounts, fields, indented, name_table, title
from frugal_chains.report._money import plain_text
from frugal_chains.report._terminal_whatif import QUALITY, replay_notes, replayed_text
from frugal_chains.report._whatif_texts import (
    bill_text,
    cached_share_text,
    cached_text,
    month_text,
    plus_minus_text,
    saved_text,
    signed_share_text,
    signed_text,
)


def sweep_view(found: Sweep) -> RenderableType:
    """Every choice of values, the lowest bill first, and which is surely the best."""
    return Group(*_lines(found))


def _lines(found: Sweep) -> Iterable[RenderableType]:
    yield title(f"{len(found.points):,} ways to set {plain_text(', '.join(found.keys))}")
    yield fields(_heads(found))
    yield ""
    yield _table(found)
    yield ""
    yield from (indented(each) for each in _notes(found))


def _heads(found: Sweep) -> Iterable[tuple[str, str]]:
    before, after = found.before, found.as_set.bill
    yield "calls", replayed_text(found.replayed)
    yield "bill, no lever", bill_text(before) + cached_text(before)
    yield "bill, as it is set", bill_text(after) + cached_text(after)
    yield "recommended", _recommended(found)
    point = next((each for each in found.points if each.setup == found.recommended), None)
    if point is None:
        return
    nanos, spread = found.saved_nanos(point), before.spread_nanos(less=point.bill)
    yield "", saved_text(nanos, before.nanos, spread)
    if found.month_factor is not None:
        yield "a month of this", month_text(nanos, spread, found.month_factor)


def _recommended(found: Sweep) -> str:
    chosen = found.recommended
    if chosen == Setup():
        return "no lever: no setup is surely cheaper"
    if chosen == found.as_set.setup:
        return "as it is set: no other is surely cheaper"
    values = found.lowest.values.items()
    return plain_text(", ".join(f"{key} = {_value(value)}" for key, value in values))


def _table(found: Sweep) -> RenderableType:
    every, whole = found.points, found.before.nanos
    table = name_table(())
    for key in found.keys:
        table.add_column(_head(key), justify="right", overflow="fold")
    named = [[_value(each.values[key]) for each in every] for key in found.keys]
    saved = [found.saved_nanos(each) for each in every]
    spreads = [found.before.spread_nanos(less=each.bill) for each in every]
    columns = [
        *named,
        add_amounts(table, "bill", [bill_text(each.bill) for each in every]),
        add_amounts(table, "saved", [signed_text(nanos) for nanos in saved]),
        add_amounts(table, "share", [signed_share_text(nanos, whole) for nanos in saved]),
        add_amounts(table, "+-", [plus_minus_text(spread) for spread in spreads]),
        add_amounts(table, "cached", [cached_share_text(each.bill) for each in every]),
    ]
    table.add_column("", overflow="fold")
    for each, *cells in zip(every, *columns, strict=True):
        table.add_row(*map(Text, cells), _verdict(found, each))
    return table


def _head(key: str) -> str:
    """Without its table: the title has the whole."""
    return plain_text(key.split(".", 2 if key.startswith("routing.") else 1)[-1])


def _value(value: int | str | None) -> str:
    if value is None:
        return "none"
    return f"{value:,}" if isinstance(value, int) else plain_text(value)


def _verdict(found: Sweep, point: SweepPoint) -> str:
    said = ["as it is set"] if point.as_set else []
    if point is found.best:
        said.append("best")
    elif point is not found.lowest and point.bill.nanos == found.lowest.bill.nanos:
        said.append("the same bill")
    elif point is not found.lowest and not found.is_lower(found.lowest.bill, point.bill):
        said.append("not surely dearer")
    return ", ".join(said)


def _notes(found: Sweep) -> Iterable[str]:
    yield QUALITY
    yield "What keeps less may answer worse: read the answers before the lowest bill is chosen."
    if found.before.spread_nanos() is None:
        yield (
            "Too few conversations for an interval, eight groups of them at least: nothing here "
            "is sure."
        )
    elif found.best is None:
        yield "None is surely the best: what is not surely dearer than the first may be by chance."
    yield from replay_notes(found.replayed, found.as_set.setup, found.before.unpriced)
