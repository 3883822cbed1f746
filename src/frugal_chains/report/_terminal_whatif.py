"""What a replay has found, for a terminal."""

from __future__ import annotations

import math
from collections.abc import Iterable
from decimal import Decimal
from typing import Final

from rich.console import Group, RenderableType

from frugal_chains.money import usd_from_nanos, usd_text
from frugal_chains.replay import LeverOutlook, ReplayBill, WhatIf
from frugal_chains.report._layout import add_amounts, fields, indented, name_table, title
from frugal_chains.report._money import count_text, share_text

_CENTS: Final = Decimal("0.01")
_LEVERS: Final = {
    "memory": "memory",
    "compression": "compression of tool outputs",
    "routing": "routing",
    "prompt_cache": "prompt cache markers",
    "batch": "batch",
}


def whatif_view(found: WhatIf) -> RenderableType:
    """The bill as it was, each lever alone and in order, what would be left, and how sure that
    is."""
    return Group(*_lines(found))


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
    yield "calls", f"{replayed.calls:,}, {replayed.with_text:,} of them with their texts"
    recorded = replayed.recorded
    if recorded.usage.input_tokens:
        yield "bill, recorded", _bill(recorded)
    yield "bill, simulated", _bill(before) + _cached(before)
    if found.levers:
        saved = usd_text(usd_from_nanos(abs(found.saved_nanos)))
        word = "less" if found.saved_nanos >= 0 else "MORE"
        share = share_text(abs(found.saved_nanos), before.nanos)
        yield "with all levers", f"{_bill(found.after)}{_cached(found.after)}"
        yield "", f"{saved} {word} ({share}){_spread(found.spread_nanos)}"
    if found.month_factor is not None and found.levers:
        month = usd_from_nanos(round(found.saved_nanos * found.month_factor))
        yield "a month of this", f"{_rounded(month)} saved{_month_spread(found)}"
    if found.best.on and found.best.on != found.setup.on:
        named = ", ".join(_LEVERS[name] for name in found.best.on)
        yield "best together", f"{named}: {_bill(found.best_bill)}"


def _table(found: WhatIf) -> RenderableType:
    table = name_table(["lever"])
    ranked = found.ranked
    alone = add_amounts(table, "alone", [_signed(each.alone_nanos) for each in ranked])
    spread = add_amounts(table, "+-", [_plus_minus(each) for each in ranked])
    steps = add_amounts(table, "in order", [_signed(each.step_nanos) for each in ranked])
    table.add_column("")
    for each, *cells in zip(ranked, alone, spread, steps, strict=True):
        table.add_row(_LEVERS[each.lever], *cells, _verdict(each))
    return table


def _verdict(each: LeverOutlook) -> str:
    if each.is_sure:
        return "saves" if each.alone_spread_nanos is not None else "saves, by what was seen"
    if not each.alone_nanos:
        return "changes nothing"
    return "costs more" if each.alone_nanos < 0 else "not sure: too few or too different calls"


def _notes(found: WhatIf) -> Iterable[str]:
    yield "Modelled: the same answers, as long as they were. Quality is not measured here."
    if found.error_share is not None:
        yield (
            f"The simulation of the traffic as it was is {abs(found.error_share):.1%} "
            f"{'above' if found.error_share >= 0 else 'below'} what was recorded."
        )
    replayed = found.replayed
    missing = replayed.calls - replayed.with_text
    if missing:
        yield (
            f"{missing:,} calls without texts: memory, compression and markers leave them as "
            "they are."
        )
    if replayed.timeless:
        yield f"{replayed.timeless:,} calls without a time: caches are taken to be warm."
    if found.before.unpriced:
        yield f"+ {found.before.unpriced:,} calls unpriced, in no sum."
    if found.levers and found.spread_nanos is None:
        yield "Too few conversations for an interval: eight groups of them at least."


def _bill(bill: ReplayBill) -> str:
    return usd_text(bill.usd)


def _cached(bill: ReplayBill) -> str:
    tokens = bill.usage.input_tokens
    share = share_text(bill.usage.cache_read_tokens, tokens)
    return f", {count_text(tokens)} tokens in, {share} of them cached" if tokens else ""


def _spread(nanos: float | None) -> str:
    return "" if nanos is None else f", +- {usd_text(usd_from_nanos(_two_digits(nanos)))} (95 %)"


def _month_spread(found: WhatIf) -> str:
    if found.spread_nanos is None or found.month_factor is None:
        return ""
    # The sum of a month has many times the traffic: what differs by chance averages out.
    nanos = found.spread_nanos * found.month_factor**0.5
    return f", +- {_rounded(usd_from_nanos(round(nanos)))} by chance (95 %)"


def _rounded(usd: Decimal) -> str:
    """To the cent, where that says something."""
    return usd_text(usd.quantize(_CENTS) if abs(usd) >= 1 else usd.normalize())


def _signed(nanos: int) -> str:
    text = usd_text(usd_from_nanos(abs(nanos)))
    return text if nanos >= 0 else f"-{text}"


def _plus_minus(each: LeverOutlook) -> str:
    spread = each.alone_spread_nanos
    return "" if spread is None else _signed(_two_digits(spread))


def _two_digits(nanos: float) -> int:
    """An interval is no exact figure."""
    return int(round(nanos, 1 - math.floor(math.log10(nanos)))) if nanos >= 1 else 0
