"""Rows and cells of an HTML table, on their way to a Markdown table."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class _Cell:
    across: int
    down: int


@dataclass(slots=True)
class HtmlTable:
    """A table while its tags are read."""

    layout: bool = False
    """It holds another table: it arranges a page, so its cells are plain lines."""
    _rows: list[list[str]] = field(default_factory=list)
    _cell: _Cell | None = None
    _below: dict[int, tuple[int, str]] = field(default_factory=dict)
    """Cells that reach into the rows below: column -> (rows left, text)."""
    _headed: bool = False

    @property
    def in_cell(self) -> bool:
        return self._cell is not None

    def open_row(self) -> None:
        self._fill()
        self._rows.append([])

    def open_cell(self, across: int, down: int, *, heading: bool) -> None:
        if not self._rows:
            self._rows.append([])
        if heading and len(self._rows) == 1:
            self._headed = True
        self._cell = _Cell(max(across, 1), max(down, 1))

    def close_cell(self, text: str) -> None:
        cell = self._cell
        self._cell = None
        if cell is None:
            return
        self._fill()
        row = self._rows[-1]
        if cell.down > 1:
            self._below[len(row)] = (cell.down, text)
        row += [text, *[""] * (cell.across - 1)]

    def give_up(self) -> list[str]:
        """Turn into layout; what was read so far, as lines."""
        self.layout = True
        rows, self._rows = self._rows, []
        return [text for row in rows for text in row if text]

    def markdown(self) -> list[str]:
        """A compact Markdown table; plain lines for one of a single row or column."""
        self._fill()
        rows = [row for row in self._rows if any(row)]
        if self.layout or not rows:
            return []
        width = max(map(len, rows))
        if width == 1 or (len(rows) == 1 and not self._headed):
            return [text for row in rows for text in row if text]
        shown = [
            "|"
            + "|".join([text.replace("|", "\\|") for text in row + [""] * (width - len(row))])
            + "|"
            for row in rows
        ]
        # Without a row of headings the first row takes their place: Markdown has no other way.
        return [shown[0], "|" + "-|" * width, *shown[1:]]

    def _fill(self) -> None:
        """Repeat, in the row at hand, cells that reach down from above it."""
        if not self._rows:
            return
        row = self._rows[-1]
        while len(row) in self._below:
            left, text = self._below[len(row)]
            if left <= 1:
                del self._below[len(row)]
                break
            self._below[len(row)] = (left - 1, text)
            row.append(text)
