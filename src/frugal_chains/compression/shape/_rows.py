"""Rows, cells and headers of an outline, read back."""

from __future__ import annotations

import json
import re
from typing import NamedTuple

from frugal_chains.compression.shape._values import NUMBER, WORDS, Number, Object, Value

_QUOTED = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"')
_BARE_KEY = re.compile(r'(?! )[^,;:=|"\[\]{}]+')
_BARE_CELL = re.compile(r"[^,;\[\]{}]+")


class _Nothing:
    """A column without a default."""


_NOTHING = _Nothing()


class Column(NamedTuple):
    name: str
    is_key: bool = False
    """Equal to the key under which the record stands."""
    default: Value | _Nothing = _NOTHING
    record: tuple[Column, ...] | None = None
    """Columns of a nested record, whose cells follow in place."""
    records: tuple[Column, ...] | None = None
    """Columns of a nested list of records, which is one cell."""


class Cursor:
    """A line, and how far it is read."""

    __slots__ = ("at", "first", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.first = True
        """Whether no cell of this row was read yet, so that no comma is due."""

    def rest(self) -> str:
        return self.text[self.at :]

    def peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def take(self, expected: str) -> bool:
        """Step over the text if it stands here."""
        if not self.text.startswith(expected, self.at):
            return False
        self.at += len(expected)
        return True

    def expect(self, expected: str) -> None:
        if not self.take(expected):
            raise ValueError(f"{expected!r} is missing at {self.rest()[:20]!r}")

    def match(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self.text, self.at)
        if found is None:
            raise ValueError(f"cannot read {self.rest()[:20]!r}")
        self.at = found.end()
        return found[0]

    def key(self) -> str:
        if self.peek() == '"':
            return _unquoted(self.match(_QUOTED))
        return self.match(_BARE_KEY)

    def cell(self, *, is_text: bool = False) -> Value:
        match self.peek():
            case '"':
                return _unquoted(self.match(_QUOTED))
            case "[":
                return self._flow_list()
            case "{":
                return self._flow_object()
        bare = self.match(_BARE_CELL)
        return bare if is_text else scalar(bare)

    def _flow_list(self) -> list[Value]:
        self.expect("[")
        members: list[Value] = []
        while not self.take("]"):
            if members:
                self.expect(",")
            members.append(self.cell())
        return members

    def _flow_object(self) -> Object:
        self.expect("{")
        members: list[tuple[str, Value]] = []
        while not self.take("}"):
            if members:
                self.expect(", ")
            name = self.key()
            self.expect(": ")
            members.append((name, self.cell()))
        return tuple(members)

    def columns(self) -> tuple[Column, ...]:
        """Columns up to and with the bracket that closes them."""
        columns: list[Column] = []
        while self.peek() not in ("]", "}"):
            if columns:
                self.expect(",")
            columns.append(self._column())
        self.at += 1
        return tuple(columns)

    def _column(self) -> Column:
        name = self.key()
        if self.take("{"):
            return Column(name, record=self.columns())
        if self.take("["):
            return Column(name, records=self.columns())
        if not self.take("="):
            return Column(name)
        quoted = self.peek() == '"'
        default = self.cell()
        if default == "key" and not quoted:
            return Column(name, is_key=True)
        return Column(name, default=default)

    def record(self, columns: tuple[Column, ...], under: str = "") -> Object:
        """The cells of one record; `under`: the key under which it stands."""
        members: list[tuple[str, Value]] = []
        for column in columns:
            if column.record is not None:
                members.append((column.name, self.record(column.record)))
                continue
            if not self.first:
                self.take(",")
            self.first = False
            if self.peek() in ("", ",", ";", "]"):
                value = under if column.is_key else column.default
            elif column.records is not None:
                value = self._records(column.records)
            else:
                value = self.cell()
            if not isinstance(value, _Nothing):
                members.append((column.name, value))
        return tuple(members)

    def rows(self, columns: tuple[Column, ...]) -> list[Value]:
        """Records parted by `;`, up to a closing bracket or the end."""
        records: list[Value] = []
        while True:
            self.first = True
            records.append(self.record(columns))
            self.take(",")  # a row of nothing but empty cells is one comma
            if not self.take("; "):
                return records

    def _records(self, columns: tuple[Column, ...]) -> list[Value]:
        self.expect("[")
        if self.take("]"):
            return []
        records = self.rows(columns)
        self.expect("]")
        self.first = False
        return records

    def end(self) -> None:
        self.take(",")
        if self.at < len(self.text):
            raise ValueError(f"more cells than columns at {self.rest()[:20]!r}")

    def keyed_record(self, columns: tuple[Column, ...]) -> tuple[str, Value]:
        """A row of its own that begins with the key under which its record stands."""
        name = self.cell(is_text=True)
        if not isinstance(name, str):
            raise ValueError("the first cell of a row is no key")
        self.first = False
        record = self.record(columns[1:], name)
        self.end()
        return name, record

    def lone_record(self, columns: tuple[Column, ...]) -> Value:
        """A row that is one record."""
        record = self.record(columns)
        self.end()
        return record

    def lone_group(self, columns: tuple[Column, ...]) -> Value:
        """A row that is a list of records."""
        if self.text == "[]":
            return []
        records = self.rows(columns)
        self.end()
        return records


def begins_with_key(text: str) -> bool:
    """Whether a line begins with a key: a name and then `: `, `:` at its end, or a header."""
    found = (_QUOTED if text.startswith('"') else _BARE_KEY).match(text)
    if found is None:
        return False
    rest = text[found.end() :]
    return rest == ":" or rest.startswith((": ", "[", "{"))


def scalar(bare: str) -> Value:
    """The value of a text without quotes."""
    if bare in WORDS:
        return WORDS[bare]
    return Number(bare) if NUMBER.fullmatch(bare) else bare


def _unquoted(text: str) -> str:
    value = json.loads(text)
    assert isinstance(value, str)
    return value
