"""The same sheet at several price lists, and the cells that its other tables share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from frugal_chains.replay.sheet import SheetBill, WorkloadBill
from frugal_chains.report._layout import add_amounts, fields, name_table, title
from frugal_chains.report._money import plain_text
from frugal_chains.report._sheet_texts import nanos_text, percent_text

_UNKNOWN = "unpriced"


def compared_tables(every: Sequence[tuple[str, SheetBill]]) -> Iterable[RenderableType]:
    """What each price list makes of the sheet, and what scenarios save by it."""
    if not every:
        return
    first = every[0][1]
    tables = {"a month, by prices": cost_text}
    if first.scenarios:
        tables["saved, by prices"] = _saved_and_share
    for head, cell in tables.items():
        table = name_table([head])
        columns = [
            add_amounts(table, plain_text(name), [cell(each) for each in bill.workloads])
            for name, bill in every
        ]
        yield ""
        yield filled(table, first.workloads, columns)
    if first.scenarios:
        yield ""
        yield title("Cheapest")
        yield fields([(plain_text(name), _cheapest(bill)) for name, bill in every])


def _saved_and_share(each: WorkloadBill) -> str:
    share = each.saved_share
    return saved_cell(each) if share is None else f"{saved_cell(each)} {percent_text(share)}"


def _cheapest(bill: SheetBill) -> str:
    if any(each.nanos is None for each in bill.workloads):
        return "not known: something in it is unpriced"
    least = min(bill.workloads, key=lambda each: each.nanos or 0)
    return f"{plain_text(least.name)}: {cost_text(least)} a month"


def filled(
    table: Table, every: Sequence[WorkloadBill], columns: Sequence[Sequence[str]]
) -> RenderableType:
    for row in zip((plain_text(each.name) for each in every), *columns, strict=True):
        table.add_row(*map(Text, row))
    return table


def cost_text(each: WorkloadBill) -> str:
    return _UNKNOWN if each.nanos is None else nanos_text(each.nanos)


def saved_cell(each: WorkloadBill) -> str:
    return "-" if each.saved_nanos is None else nanos_text(each.saved_nanos)
