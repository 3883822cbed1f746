"""A model's price as rich renderables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from itertools import pairwise

from rich.console import Group, RenderableType
from rich.text import Text

from frugal_chains.money import usd_text
from frugal_chains.pricing import BUCKETS, Explanation, Free, Priced, Unpriced
from frugal_chains.report._layout import add_amounts, fields, indented, name_table, title
from frugal_chains.report._money import aligned, plain_text
from frugal_chains.report._prices import PriceFacts, charge_parts, price_snippet
from frugal_chains.usage import COUNT_FIELDS

MAX_NAMES = 3
_OUTCOMES = {"priced": "priced", "free": "free: known to cost nothing", "unpriced": "UNPRICED"}


def prices_view(facts: PriceFacts) -> RenderableType:
    """What would be charged for a model, why, since when, and for the tokens asked about."""
    return Group(
        _header(facts),
        *_rates(facts.price),
        *_fees(facts.price),
        *_notes(facts.price),
        *_history(facts.history),
        *_example(facts),
        *_way_out(facts),
    )


def _header(facts: PriceFacts) -> RenderableType:
    price = facts.price
    names = [*price.names, *([f"listed as {price.listed_as}"] if price.listed_as else [])]
    rows = [
        ("model", plain_text(facts.asked)),
        ("price", f"{_OUTCOMES[price.outcome]}, {price.tier} tier, at {_moment(price.at)}"),
        ("names", plain_text(" -> ".join(names))),
        ("source", plain_text(price.price_id) or "none"),
        ("own file", plain_text(facts.price_file) or "no prices.toml"),
    ]
    if price.context_window_tokens:
        rows.append(("context", f"{price.context_window_tokens:,} tokens"))
    return fields(rows, strong="price")


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"


def _rates(price: Explanation) -> Iterable[RenderableType]:
    if not price.bands:
        return
    table = name_table(["USD per 1,000,000 tokens"])
    buckets = [b for b in BUCKETS if any(b in band.per_mtok for band in price.bands)]
    columns = [
        add_amounts(
            table,
            f"> {band.above_tokens:,} in" if band.above_tokens else "price",
            [usd_text(band.per_mtok[b]) if b in band.per_mtok else "-" for b in buckets],
        )
        for band in price.bands
    ]
    for row in zip(buckets, *columns, strict=True):
        table.add_row(*map(Text, row))
    yield ""
    yield table
    if len(price.bands) > 1:
        yield indented("a request with more input tokens pays the higher price for all its tokens")


def _fees(price: Explanation) -> Iterable[RenderableType]:
    if not price.fees:
        return
    table = name_table(["USD per 1,000 calls"])
    costs = add_amounts(table, "price", [usd_text(usd) for usd in price.fees.values()])
    for name, cost in zip(price.fees, costs, strict=True):
        table.add_row(Text(name), Text(cost))
    yield ""
    yield table


def _notes(price: Explanation) -> Iterable[RenderableType]:
    if price.notes:
        yield ""
        yield title("Applied to the list price")
        yield from (indented(plain_text(f"- {note}")) for note in price.notes)


def _history(lines: Sequence[Explanation]) -> Iterable[RenderableType]:
    """Only where a change is known: one line says nothing that the rates do not."""
    if len(lines) < 2:
        return
    table = name_table(["from (UTC)"])
    columns = [
        add_amounts(table, bucket, [_rate(line, bucket) for line in lines])
        for bucket in ("input", "output")
    ]
    table.add_column("changed", overflow="fold")
    changes = ["", *(changed(before, after) for before, after in pairwise(lines))]
    dates = ["the beginning", *(f"{line.at:%Y-%m-%d %H:%M}" for line in lines[1:])]
    for row in zip(dates, *columns, changes, strict=True):
        table.add_row(*map(Text, row))
    yield ""
    yield table


def changed(before: Explanation, after: Explanation) -> str:
    """Which prices differ: `all`, or the first few by name."""
    old, new = _named_prices(before), _named_prices(after)
    names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    if len(names) == len({**old, **new}):
        return "all"
    more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
    return ", ".join(names[:MAX_NAMES]) + more


def _named_prices(line: Explanation) -> dict[str, Decimal]:
    named = {
        f"{bucket} > {band.above_tokens:,}" if band.above_tokens else bucket: usd
        for band in line.bands
        for bucket, usd in band.per_mtok.items()
    }
    return {**named, **{str(fee): usd for fee, usd in line.fees.items()}}


def _rate(line: Explanation, bucket: str) -> str:
    """The price below the first threshold."""
    if line.outcome != "priced":
        return line.outcome
    found = _named_prices(line).get(bucket)
    return "-" if found is None else usd_text(found)


def _example(facts: PriceFacts) -> Iterable[RenderableType]:
    if facts.usage is None or facts.charge is None:
        return
    counts = [f"{count:,} {name}" for name in COUNT_FIELDS if (count := getattr(facts.usage, name))]
    yield ""
    yield title(f"Example: {', '.join(counts) or 'no tokens'}")
    match facts.charge:
        case Priced() as charge:
            parts = {**charge_parts(charge), "total": charge.cost_usd}
            costs = aligned([usd_text(usd) for usd in parts.values()])
            yield fields(list(zip(parts, costs, strict=True)), strong="total")
        case Free():
            yield indented("free")
        case Unpriced(reason=reason):
            yield indented(f"UNPRICED: {plain_text(reason)}")


def _way_out(facts: PriceFacts) -> Iterable[RenderableType]:
    if facts.price.outcome != "unpriced":
        return
    yield ""
    yield title("Why it has no price")
    yield indented(plain_text(facts.price.reason))
    yield ""
    yield title("For your prices.toml: put a number in place of every ...")
    yield indented(price_snippet(facts).rstrip("\n"))
