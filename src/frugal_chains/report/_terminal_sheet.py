"""A workload sheet's bill as rich renderables: the sum first, then every line of arithmetic."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from fractions import Fraction

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from frugal_chains.money import usd_from_nanos, usd_text
from frugal_chains.replay.sheet import Amount, Interval, Part, SheetBill, WorkloadBill
from frugal_chains.report._layout import add_amounts, fields, indented, name_table, title
from frugal_chains.report._money import plain_text
from frugal_chains.report._sheet_texts import (
    claim_text,
    line_text,
    nanos_text,
    number_text,
    part_text,
    percent_text,
)
from frugal_chains.report._terminal_sheet_lists import (
    compared_tables,
    cost_text,
    filled,
    saved_cell,
)


def sheet_view(
    bill: SheetBill, compared: Sequence[tuple[str, SheetBill]] = (), *, name: str = "as above"
) -> RenderableType:
    """What a sheet costs, scenario by scenario, with the arithmetic.

    Args:
        bill: Of the sheet.
        compared: The same sheet at other prices, each with a name for them.
        name: Of the prices of `bill`, where there are others.
    """
    return Group(
        *_head(bill),
        _summary(bill),
        *_ranges(bill),
        *_unpriced([("", bill), *compared]),
        *compared_tables([(name, bill), *compared] if compared else ()),
        *(line for each in bill.workloads for line in _workload(each)),
        *_claims(bill),
    )


def _head(bill: SheetBill) -> Iterable[RenderableType]:
    yield title(plain_text(bill.sheet.title))
    if bill.sheet.note:
        yield indented(plain_text(bill.sheet.note))
    yield indented(f"prices of {_moment(bill)}; USD a month")
    yield ""


def _moment(bill: SheetBill) -> str:
    asked = bill.sheet.prices_on
    if bill.at == datetime(asked.year, asked.month, asked.day, 12, tzinfo=UTC):
        return f"{asked}"
    return f"{bill.at:%Y-%m-%d %H:%M} UTC, not of {asked} as the sheet asks"


def _summary(bill: SheetBill) -> RenderableType:
    every = bill.workloads
    table = name_table([""])
    columns = [add_amounts(table, "a month", [cost_text(each) for each in every])]
    if bill.scenarios:
        columns.append(add_amounts(table, "saved", [saved_cell(each) for each in every]))
        columns.append(add_amounts(table, "share", [_share(each.saved_share) for each in every]))
    return filled(table, every, columns)


def _intervals(bill: SheetBill) -> RenderableType:
    """A table of its own: beside the likely figures it would not fit a narrow terminal."""
    every = bill.workloads
    table = name_table([""])
    columns = [
        add_amounts(table, "low", [_end(each.interval, 0) for each in every]),
        add_amounts(table, "high", [_end(each.interval, 1) for each in every]),
    ]
    if bill.scenarios:
        shares = [each.saved_share_interval for each in every]
        for head, end in (("least saved", 0), ("most saved", 1)):
            cells = [_share(ends and ends[end]) for ends in shares]
            columns.append(add_amounts(table, head, cells))
    return filled(table, every, columns)


def _end(interval: Interval | None, end: int) -> str:
    return "-" if interval is None else nanos_text(interval[end])


def _share(share: Fraction | None) -> str:
    return "-" if share is None else percent_text(share)


def _ranges(bill: SheetBill) -> Iterable[RenderableType]:
    ranges = bill.sheet.ranges
    if not ranges:
        return
    yield ""
    yield _intervals(bill)
    yield ""
    yield title("Ranges: low, likely, high")
    yield from (indented(f"{plain_text(each.key)}: {_ends(each)}") for each in ranges)
    yield indented(
        f"low and high above are the least and the most of all {2 ** len(ranges):,} ways to take "
        "each range at one of its ends, the same for baseline and scenario"
    )
    for each in bill.workloads:
        if each.steps:
            yield indented(
                f"{plain_text(each.name)}: a price step, or the least that a cache keeps, lies "
                "inside a range; between its ends the cost may be outside low and high"
            )


def _ends(amount: Amount) -> str:
    return ", ".join(number_text(end) for end in (amount.low, amount.likely, amount.high))


def _unpriced(every: Sequence[tuple[str, SheetBill]]) -> Iterable[RenderableType]:
    parts = {
        (name, part.model, part.tier): part
        for name, bill in every
        for each in bill.workloads
        for part in each.unpriced
    }
    if not parts:
        return
    yield ""
    yield title("Without a price: the totals they belong to are not known")
    for (name, *_), part in parts.items():
        place = f"{plain_text(name)}: " if name else ""
        yield indented(f"{place}{plain_text(part.model)}, {part.tier}: {plain_text(part.reason)}")


def _workload(each: WorkloadBill) -> Iterable[RenderableType]:
    yield ""
    yield title(f"{plain_text(each.name)}: {_total(each)}")
    if each.note:
        yield indented(plain_text(each.note))
    for part in each.parts:
        yield indented(part_text(part))
        yield Padding(Group(*_lines(part)), (0, 0, 0, 8), expand=False)


def _total(each: WorkloadBill) -> str:
    if each.nanos is None:
        known = usd_text(usd_from_nanos(each.priced_nanos))
        return f"not known; {known} a month without what is unpriced"
    saved = each.saved_nanos
    if saved is None:
        return f"{nanos_text(each.nanos)} a month"
    share = "" if each.saved_share is None else f" ({percent_text(abs(each.saved_share))})"
    word = "saves" if saved >= 0 else "costs more by"
    return f"{nanos_text(each.nanos)} a month, {word} {nanos_text(abs(saved))}{share}"


def _lines(part: Part) -> Iterable[RenderableType]:
    if part.note:
        yield Text(part.note, overflow="fold")
    if part.nanos is None:
        yield Text(f"UNPRICED: {plain_text(part.reason)}", overflow="fold")
    elif part.free:
        yield Text("free: known to cost nothing")
    else:
        yield fields([(line.bucket, line_text(line)) for line in part.lines])


def _claims(bill: SheetBill) -> Iterable[RenderableType]:
    if not bill.claims:
        return
    yield ""
    yield title("Claims")
    for check in bill.claims:
        yield indented(f"{check.verdict.upper()}: {claim_text(check)}")
        if check.claim.source:
            yield Padding(Text(plain_text(f"source: {check.claim.source}")), (0, 0, 0, 8))
