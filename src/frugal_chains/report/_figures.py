"""Tables of names and figures that leave out figures, not digits, where room is short."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from rich.cells import cell_len
from rich.console import RenderableType
from rich.text import Text

from frugal_chains.report._layout import name_table

_NAME_CELLS: Final = 16
"""Columns that names may ask for before figures are left out; longer ones fold."""


def figure_table(
    heads: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    width: int,
    ranks: Mapping[str, int],
) -> RenderableType:
    """A table in at most `width` columns.

    Args:
        heads: That of the names, then those of the figures.
        rows: One text for each head.
        width: Of the console.
        ranks: By head. Where room is short the highest goes first; heads without a rank stay.
    """
    rows = list(rows)
    columns = [[head, *cells] for head, *cells in zip(heads, *rows, strict=True)]
    widths = [max(map(cell_len, column)) for column in columns]
    shown = list(range(1, len(heads)))
    room = width - min(_NAME_CELLS, widths[0])
    while sum(2 + widths[i] for i in shown) > room:
        able = [i for i in shown if heads[i] in ranks]
        if not able:
            break
        shown.remove(max(able, key=lambda i: ranks[heads[i]]))
    grid = name_table(heads[:1])
    for i in shown:
        grid.add_column(heads[i], justify="right", no_wrap=True)
    for row in rows:
        grid.add_row(Text(row[0]), *(Text(row[i]) for i in shown))
    return grid
