"""The same traffic at several price lists, for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from frugal_chains.replay import WhatIf
from frugal_chains.report._layout import add_amounts, fields, indented, name_table, title
from frugal_chains.report._money import plain_text
from frugal_chains.report._terminal_whatif import QUALITY, replay_notes, replayed_text
from frugal_chains.report._whatif_texts import (
    LEVER_TEXTS,
    bill_text,
    month_text,
    plus_minus_text,
    signed_share_text,
    signed_text,
)

Named = tuple[str, WhatIf]


def lists_view(found: Sequence[Named]) -> RenderableType:
    """Bills, savings and the best levers by price list.

    Args:
        found: Each list by its name; of the same calls and levers.
    """
    named = [(plain_text(name), each) for name, each in found]
    return Group(*_lines(named))


def _lines(found: Sequence[Named]) -> Iterable[RenderableType]:
    first = found[0][1]
    yield title(f"The same traffic at {len(found)} price lists")
    yield fields([("calls", replayed_text(first.replayed))])
    yield ""
    yield _bills(found)
    if first.levers:
        yield ""
        yield title("Saved by each lever alone")
        yield _levers(found)
        yield ""
        yield title("Best together")
        yield fields([(name, _best(each)) for name, each in found])
    yield ""
    yield from (indented(each) for each in _notes(found))


def _bills(found: Sequence[Named]) -> RenderableType:
    table = name_table(["prices"])
    every = [each for _, each in found]
    columns = [
        add_amounts(table, "no lever", [bill_text(each.before) for each in every]),
        add_amounts(table, "all levers", [bill_text(each.after) for each in every]),
        add_amounts(table, "saved", [signed_text(each.saved_nanos) for each in every]),
        add_amounts(
            table,
            "share",
            [signed_share_text(each.saved_nanos, each.before.nanos) for each in every],
        ),
        add_amounts(table, "+-", [plus_minus_text(each.spread_nanos) for each in every]),
    ]
    for (name, _), *cells in zip(found, *columns, strict=True):
        table.add_row(*map(Text, (name, *cells)))
    return table


def _levers(found: Sequence[Named]) -> RenderableType:
    table = name_table(["lever"])
    columns = [
        add_amounts(table, name, [signed_text(lever.alone_nanos) for lever in each.levers])
        for name, each in found
    ]
    for lever, *cells in zip(found[0][1].levers, *columns, strict=True):
        table.add_row(*map(Text, (LEVER_TEXTS[lever.lever], *cells)))
    return table


def _best(each: WhatIf) -> str:
    if not each.best.on:
        return "no lever"
    named = ", ".join(LEVER_TEXTS[name] for name in each.best.on)
    said = f"{named}: {bill_text(each.best_bill)}"
    if each.month_factor is None:
        return said
    saved, spread = (
        each.before.nanos - each.best_bill.nanos,
        each.before.spread_nanos(less=each.best_bill),
    )
    return f"{said}; a month of it {month_text(saved, spread, each.month_factor)}"


def _notes(found: Sequence[Named]) -> Iterable[str]:
    first = found[0][1]
    yield QUALITY
    yield "Every bill is simulated, at the prices of its list."
    yield from replay_notes(first.replayed, first.setup, 0)
    for name, each in found:
        if each.before.unpriced:
            yield f"{name}: + {each.before.unpriced:,} calls unpriced, in no sum."
    if first.levers and first.spread_nanos is None:
        yield "Too few conversations for an interval: eight groups of them at least."
