"""Records of one kind as a header and rows, nested records and lists of records included.

    id,status=open,price{low,high},lines[sku,count]
    A7,,10,12,[x1,2; x2,1]
    B9,closed,11,15,[]

`status=open`: what an empty cell of that column stands for. Elsewhere an empty cell means that the
record has no such field. `price{low,high}` takes two cells. `lines[...]` takes one, with a row for
each record of the list. Where records stand in an object, the first column is their `key`, and
`id=key` says that the field repeats it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from frugal_chains.compression.shape._scalars import cell, key, text_cell
from frugal_chains.compression.shape._values import Object, Value

MAX_COLUMNS = 32
"""Cells to a row. A reader loses count beyond; keys beside the values are better."""
_MAX_LONE_COLUMNS = 12
"""The same for a table of one record, which has less to win."""
_MAX_LEVELS = 6
"""Levels of nesting in a record that a row still shows well. It also keeps the work linear: what is
tried as part of a table, and then written in another way, is tried again this often at most."""
_LEAST_FILL = 0.5
"""Share of cells that must have a value, or rows are mostly commas."""
_DEFAULT_PAYS = 4
"""Characters saved from which `=value` in the header is worth its two tokens."""


class Table(NamedTuple):
    """A header without its brackets, and one row for each record."""

    header: str
    rows: list[str]
    width: int
    """Cells to a row."""


def table(records: Sequence[Value], keys: Sequence[str] = ()) -> Table | None:
    """Records as a table; None where they are not of one kind, or a table would not be read well.

    Args:
        records: Values of which each must be an object that is not empty.
        keys: The key under which each record stands, if they stand in an object: the first column.
    """
    objects = [record for record in records if isinstance(record, tuple) and record]
    if len(objects) < len(records) or not all(_is_shallow(o, _MAX_LEVELS) for o in objects):
        return None
    columns = _columns(objects, keys)
    if columns is None:
        return None
    width = sum([len(column.cells) for column in columns])
    if width > (MAX_COLUMNS if len(objects) > 1 else _MAX_LONE_COLUMNS):
        return None
    header = ",".join([column.header for column in columns])
    cells = [row for column in columns for row in column.cells]
    rows = [",".join(row).rstrip(",") or "," for row in zip(*cells, strict=True)]
    return Table(header, rows, width)


def _is_shallow(value: Object | list[Value], levels: int) -> bool:
    members = [member for _, member in value] if isinstance(value, tuple) else value
    for member in members:
        if isinstance(member, tuple | list) and (
            levels == 1 or not _is_shallow(member, levels - 1)
        ):
            return False
    return True


class _Column(NamedTuple):
    header: str
    cells: list[list[str]]
    """One list for each cell that the column takes, with one text for each record."""


def _columns(objects: Sequence[Object], keys: Sequence[str]) -> list[_Column] | None:
    columns = [_Column("key", [[text_cell(name) for name in keys]])] if keys else []
    shapes = dict.fromkeys([tuple([name for name, _ in record]) for record in objects])
    if len(shapes) == 1:
        (names,) = shapes
        if not names or len(names) > MAX_COLUMNS:
            return None
        by_name = zip(*[[value for _, value in record] for record in objects], strict=True)
        for name, column in zip(names, by_name, strict=True):
            columns.append(_full_column(key(name), column, keys))
        return columns
    order = _common_order(shapes)
    filled = sum(map(len, objects))
    if not order or filled < _LEAST_FILL * len(order) * len(objects):
        return None
    records = [dict(record) for record in objects]
    for name in order:
        if all(name in record for record in records):
            values = [record[name] for record in records]
            columns.append(_full_column(key(name), values, keys))
        else:
            cells = [cell(record[name]) if name in record else "" for record in records]
            columns.append(_Column(key(name), [cells]))
    return columns


def _full_column(name: str, values: Sequence[Value], keys: Sequence[str]) -> _Column:
    """A column in which every record has a value."""
    first = values[0]
    if keys and first == keys[0] and all(map(_same_text, values, keys)):
        return _Column(f"{name}=key", [[""] * len(values)])
    nested = None
    if isinstance(first, tuple):
        nested = _nested_record(name, values)
    elif isinstance(first, list):
        nested = _nested_list(name, values)
    return nested or _scalars(name, values)


def _scalars(name: str, values: Sequence[Value]) -> _Column:
    cells = [cell(value) for value in values]
    first = cells[0]
    if len(first) * (len(cells) - 1) > _DEFAULT_PAYS and cells.count(first) == len(cells):
        shown = '"key"' if first == "key" else first
        return _Column(f"{name}={shown}", [[""] * len(cells)])
    return _Column(name, [cells])


def _nested_record(name: str, values: Sequence[Value]) -> _Column | None:
    objects = [value for value in values if isinstance(value, tuple)]
    columns = _columns(objects, ()) if len(objects) == len(values) else None
    if columns is None:
        return None
    header = ",".join([column.header for column in columns])
    return _Column(f"{name}{{{header}}}", [row for column in columns for row in column.cells])


def _nested_list(name: str, values: Sequence[Value]) -> _Column | None:
    lists = [value for value in values if isinstance(value, list)]
    if len(lists) < len(values):
        return None
    inner = table([record for records in lists for record in records])
    if inner is None or not inner.rows:
        return None
    rows = iter(inner.rows)
    cells = ["[" + "; ".join([next(rows) for _ in records]) + "]" for records in lists]
    return _Column(f"{name}[{inner.header}]", [cells])


def _same_text(value: Value, name: str) -> bool:
    return type(value) is str and value == name


def _common_order(shapes: Iterable[tuple[str, ...]]) -> list[str] | None:
    """One order of names that no record contradicts; None: there is none, or it is too long."""
    order: list[str] = []
    for names in shapes:
        if not _merge(order, names):
            return None
    return order


def _merge(order: list[str], names: tuple[str, ...]) -> bool:
    """Put the names into the order; False: they contradict it, one is doubled, or it gets long."""
    at = 0
    for name in names:
        try:
            at = order.index(name, at) + 1
        except ValueError:
            if name in order or len(order) >= MAX_COLUMNS:
                return False
            order.insert(at, name)
            at += 1
    return True
