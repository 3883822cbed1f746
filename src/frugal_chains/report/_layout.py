"""The few shapes that everything printed is made of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich import box
from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from frugal_chains.report._money import aligned


def name_table(heads: Iterable[str]) -> Table:
    """A table whose first columns are names: they fold where room is short, figures never do."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, collapse_padding=True)
    for head in heads:
        table.add_column(Text(head), overflow="fold")
    return table


def add_amounts(table: Table, head: str, amounts: Sequence[str]) -> list[str]:
    """Add a column for amounts and return its cells, their decimal points below each other."""
    width = max(map(len, (head, *aligned(amounts))))
    table.add_column(head.rjust(width), no_wrap=True)
    return [amount.rjust(width) for amount in aligned(amounts)]


def fields(rows: Iterable[tuple[str, str]], *, strong: str = "") -> RenderableType:
    """`name  value` lines, values below each other."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in rows:
        grid.add_row(Text(name), Text(value, style="bold" if name == strong else ""))
    return grid


def indented(text: str) -> RenderableType:
    return Padding(Text(text, overflow="fold"), (0, 0, 0, 4), expand=False)


def title(text: str) -> RenderableType:
    return Text(text, style="bold", overflow="fold")
