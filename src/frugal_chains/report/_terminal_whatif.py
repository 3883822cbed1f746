"""What a replay has found, for a terminal."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Group, RenderableType

from frugal_chains.replay import LeverOutlook, Replayed, Setup, WhatIf
from frugal_chains.report._layout import add_amounts, fields, indented, name_table, title
from frugal_chains.report._whatif_texts import (
    LEVER_TEXTS,
    bill_text,
    cached_text,
    month_text,
    plus_minus_text,
    saved_text,
    signed_text,
)

QUALITY = "Modelled: the same answers, as long as they were. Quality is not measured here."


def whatif_view(found: WhatIf) -> RenderableType:
    """The bill as it was, each lever alone and in order, what would be left, and how sure that
    is."""
    return Group(*_lines(found))


def replayed_text(replayed: Replayed) -> str:
    """How many calls were played, and of how many the texts are known."""
    return f"{replayed.calls:,}, {replayed.with_text:,} of them with their texts"


def replay_notes(replayed: Replayed, setup: Setup, unpriced: int) -> Iterable[str]:
    """What the figures of a replay leave out, or rest on.

    Args:
        replayed: The replay.
        setup: The levers that were tried.
        unpriced: Calls without a price.
    """
    missing = replayed.calls - replayed.with_text - replayed.by_size
    if replayed.by_size:
        left = "; compression leaves them as they are" if setup.compression else ""
        yield (
            f"{replayed.by_size:,} calls without texts: memory and markers go by the sizes of "
            f"their conversations{left}."
        )
    if missing:
        yield (
            f"{missing:,} calls without texts: memory, compression and markers leave them as "
            "they are."
        )
    if replayed.unseen_tasks:
        named = ", ".join(map(repr, replayed.unseen_tasks))
        yield f"No call has the task {named}: --tasks lists those there are."
    if replayed.timeless:
        yield f"{replayed.timeless:,} calls without a time: caches are taken to be warm."
    if unpriced:
        yield f"+ {unpriced:,} calls unpriced, in no sum."


def _lines(found: WhatIf) -> Iterable[RenderableType]:
    yield title("As it was sent, and as it would have been")
    yield fields(_heads(found))
    if found.levers:
        yield ""
        yield _table(found)
    yield ""
    yield from (indented(each) for each in _notes(found))


def _heads(found: WhatIf) -> Iterable[tuple[str, str]]:
    replayed, before = found.replayed, found.before
    yield "calls", replayed_text(replayed)
    recorded = replayed.recorded
    if recorded.usage.input_tokens:
        yield "bill, recorded", bill_text(recorded)
    yield "bill, simulated", bill_text(before) + cached_text(before)
    if not found.levers:
        return
    yield "with all levers", f"{bill_text(found.after)}{cached_text(found.after)}"
    yield "", saved_text(found.saved_nanos, before.nanos, found.spread_nanos)
    if found.month_factor is not None:
        month = month_text(found.saved_nanos, found.spread_nanos, found.month_factor)
        yield "a month of this", month
    if found.best.on and found.best.on != found.setup.on:
        named = ", ".join(LEVER_TEXTS[name] for name in found.best.on)
        yield "best together", f"{named}: {bill_text(found.best_bill)}"


def _table(found: WhatIf) -> RenderableType:
    table = name_table(["lever"])
    ranked = found.ranked
    alone = add_amounts(table, "alone", [signed_text(each.alone_nanos) for each in ranked])
    spreads = [plus_minus_text(each.alone_spread_nanos) for each in ranked]
    spread = add_amounts(table, "+-", spreads)
    steps = add_amounts(table, "in order", [signed_text(each.step_nanos) for each in ranked])
    table.add_column("")
    for each, *cells in zip(ranked, alone, spread, steps, strict=True):
        shown = cells if each.known else ["unknown", "", ""]
        table.add_row(LEVER_TEXTS[each.lever], *shown, _verdict(each))
    return table


def _verdict(each: LeverOutlook) -> str:
    if not each.known:
        return "needs the texts of calls" if each.lever == "compression" else "needs conversations"
    if each.is_sure:
        return "saves" if each.alone_spread_nanos is not None else "saves, by what was seen"
    if not each.alone_nanos:
        return "changes nothing"
    return "costs more" if each.alone_nanos < 0 else "not sure: too few or too different calls"


def _notes(found: WhatIf) -> Iterable[str]:
    yield QUALITY
    if found.error_share is not None:
        yield f"The simulation of the traffic as it was is {_error(found.error_share)}."
    yield from replay_notes(found.replayed, found.setup, found.before.unpriced)
    if found.levers and found.spread_nanos is None:
        yield "Too few conversations for an interval: eight groups of them at least."


def _error(share: float) -> str:
    if not share:
        return "exactly what was recorded"
    size = f"{abs(share):.1%}" if abs(share) >= 0.0005 else "less than 0.1%"
    return f"{size} {'above' if share > 0 else 'below'} what was recorded"
