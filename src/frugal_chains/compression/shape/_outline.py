"""JSON as an outline: `key: value` lines, nesting by one space, records as rows under a header.

    order: W379
    address:
     city: Fort Worth
     zip: "76134"
    items[name,price,options{color,size}]:
     Lamp,12.50,black,S
     Desk,99,oak,L
    notes: |
     Text of several lines
     stands as it is.

One space a level, because o200k and cl100k join a single space with the word after it. Every
outline reads back as the same value (`_outline_read`).
"""

from __future__ import annotations

from frugal_chains.compression.shape._columns import Table, table
from frugal_chains.compression.shape._scalars import cell, item, key, line, literal
from frugal_chains.compression.shape._values import Number, Object, Value

_LONG_ROW = 1000
"""Characters, on average, from which a record is easier to read with its keys beside its values;
they are then a small part of it."""
_LONG_TEXT = 80
"""Characters from which a text in a list gets a line of its own."""
_ESCAPES_A_CELL = 2
"""Escaped line breaks a cell from which lines of their own are cheaper than a table's header: an
escape costs about one token, a repeated key about three."""


def write_outline(value: Value) -> str:
    """The value as an outline."""
    head, body = _block(value, 0)
    return "\n".join([head, *body] if head else body)


def _block(value: Value, indent: int) -> tuple[str, list[str]]:
    """What stands where no key is (the whole text, or after `- `): first line, and the rest.

    The first line is empty where the lines themselves, at `indent`, begin with the value.
    """
    head, body = _content(value, indent)
    if head == ":":
        return "", body
    if isinstance(value, str) and not isinstance(value, Number):
        return ("|", body) if body else (item(value), [])
    return head.removeprefix(": "), body


def _content(value: Value, indent: int) -> tuple[str, list[str]]:
    """What follows a key: the rest of its line, and the lines below it, at `indent`."""
    if isinstance(value, str):
        if isinstance(value, Number):
            return f": {value}", []
        rest = line(value)
        return (f": {rest}", []) if rest is not None else (": |", literal(value, indent))
    if isinstance(value, tuple):
        return _object(value, indent) if value else (": {}", [])
    if isinstance(value, list):
        return _list(value, indent)
    return f": {cell(value)}", []


def _object(value: Object, indent: int) -> tuple[str, list[str]]:
    if len(value) > 1:
        rows = _readable(table([v for _, v in value], [k for k, _ in value]))
        if rows is not None:
            return f"{{{rows.header}}}:", _shifted(rows.rows, indent)
    lines: list[str] = []
    shift = " " * indent
    for name, member in value:
        head, body = _content(member, indent + 1)
        lines.append(f"{shift}{key(name)}{head}")
        lines += body
    return ":", lines


def _list(value: list[Value], indent: int) -> tuple[str, list[str]]:
    rows = _readable(table(value)) if value else None
    if rows is not None:
        return f"[{rows.header}]:", _shifted(rows.rows, indent)
    groups = _groups(value)
    if groups is not None:
        return f"[[{groups.header}]]:", _shifted(groups.rows, indent)
    if not any(map(_wants_lines, value)):
        return f": {cell(value)}", []
    lines: list[str] = []
    shift = " " * indent
    for member in value:
        head, body = _block(member, indent + 1)
        if not head:
            head, body = body[0][indent + 1 :], body[1:]
        lines.append(f"{shift}- {head}")
        lines += body
    return ":", lines


def _groups(lists: list[Value]) -> Table | None:
    """A list of lists of records: a row for each list, its records parted by `;`."""
    if not lists or not all(isinstance(v, list) for v in lists):
        return None
    inner = table([record for records in lists if isinstance(records, list) for record in records])
    if inner is None or not inner.rows:
        return None
    left = iter(inner.rows)
    rows: list[str] = []
    for records in lists:
        row = "; ".join([next(left) for _ in records]) if isinstance(records, list) else ""
        # `[]` alone says that the list is empty, so a record of one empty list says it otherwise.
        rows.append({"": "[]", "[]": "[],"}.get(row, row))
    return inner._replace(rows=rows)


def _readable(rows: Table | None) -> Table | None:
    """The table, unless its rows are so long or so full of escapes that lines would be better."""
    if rows is None:
        return None
    count = len(rows.rows)
    if sum(map(len, rows.rows)) > _LONG_ROW * count:
        return None
    escapes = sum([row.count("\\n") for row in rows.rows])
    return None if escapes > _ESCAPES_A_CELL * rows.width * count else rows


def _wants_lines(member: Value) -> bool:
    """Whether a member of a list asks for a line of its own."""
    if isinstance(member, tuple):
        return bool(member)
    if isinstance(member, list):
        return any(isinstance(inner, list) and inner for inner in member)
    if isinstance(member, str):
        return len(member) > _LONG_TEXT or "\n" in member
    return False


def _shifted(rows: list[str], indent: int) -> list[str]:
    shift = " " * indent
    return [shift + row for row in rows]
