"""From an outline back to the value it was written from."""

from __future__ import annotations

from frugal_chains.compression.shape._rows import Cursor, begins_with_key, scalar
from frugal_chains.compression.shape._values import Object, Value


def read_outline(text: str) -> Value:
    """The value of an outline.

    Raises:
        ValueError: The text is no outline; the message says where reading stopped.
    """
    lines = _Lines(text)
    try:
        value = lines.value(0)
    except IndexError:
        raise ValueError(f"line {lines.at + 1} is missing or ends too early") from None
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if any(lines.lines[lines.at :]):
        raise ValueError(f"line {lines.at + 1} does not belong to what stands before it")
    return value


class _Lines:
    """Lines, and how far they are read."""

    def __init__(self, text: str) -> None:
        self.lines = text.split("\n")
        self.at = 0

    def value(self, indent: int) -> Value:
        """The value that begins on this line, after `indent` spaces."""
        text = self.lines[self.at][indent:]
        if text.startswith("- "):
            return self._items(indent)
        if text == "|":
            return self._literal(indent)
        if text[0] in "[{" and text[-1] == ":":
            return self._table(Cursor(text), indent)
        if begins_with_key(text):
            return self._members(indent)
        self.at += 1
        return _inline(text)

    def _items(self, indent: int) -> list[Value]:
        items: list[Value] = []
        mark = " " * indent + "- "
        while self.at < len(self.lines) and self.lines[self.at].startswith(mark):
            # The item stands as if it began a level deeper, where its other lines are.
            self.lines[self.at] = " " * (indent + 1) + self.lines[self.at][indent + 2 :]
            items.append(self.value(indent + 1))
        return items

    def _literal(self, indent: int) -> str:
        self.at += 1
        start = self.at
        shift = " " * indent
        while self.at < len(self.lines) and (
            not self.lines[self.at] or self.lines[self.at].startswith(shift)
        ):
            self.at += 1
        return "\n".join([row[indent:] for row in self.lines[start : self.at]])

    def _members(self, indent: int) -> Object:
        members: list[tuple[str, Value]] = []
        shift = " " * indent
        while self.at < len(self.lines):
            text = self.lines[self.at]
            if not text.startswith(shift) or not begins_with_key(text[indent:]):
                break
            members.append(self._member(Cursor(text[indent:]), indent + 1))
        return tuple(members)

    def _member(self, cursor: Cursor, indent: int) -> tuple[str, Value]:
        name = cursor.key()
        rest = cursor.rest()
        if rest[0] != ":":
            return name, self._table(cursor, indent)
        if rest == ": |":
            return name, self._literal(indent)
        self.at += 1
        return name, self.value(indent) if rest == ":" else _inline(rest[2:])

    def _table(self, cursor: Cursor, indent: int) -> Value:
        """Rows under a header that the cursor is at; they stand at `indent`."""
        self.at += 1
        if cursor.take("{"):
            columns = cursor.columns()
            return tuple([Cursor(row).keyed_record(columns) for row in self._rows(indent)])
        read = Cursor.lone_group if cursor.take("[[") else Cursor.lone_record
        cursor.take("[")
        columns = cursor.columns()
        return [read(Cursor(row), columns) for row in self._rows(indent)]

    def _rows(self, indent: int) -> list[str]:
        start = self.at
        shift = " " * indent
        while self.at < len(self.lines):
            row = self.lines[self.at]
            if not row or not row.startswith(shift):
                break
            self.at += 1
        return [row[indent:] for row in self.lines[start : self.at]]


def _inline(text: str) -> Value:
    """A value that takes the rest of its line."""
    if text[0] not in '"[{':
        return scalar(text)
    cursor = Cursor(text)
    value = cursor.cell()
    cursor.end()
    return value
