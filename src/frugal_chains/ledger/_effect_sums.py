"""Sums of effects: kept by day as they are written, read with the edges of any period."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from frugal_chains.errors import LedgerError
from frugal_chains.ledger._effect import EffectTotals
from frugal_chains.ledger._ids import first_id, microseconds, moment
from frugal_chains.ledger._schema import DAY_US, EFFECTS_SINCE_VERSION

_DIMENSIONS: Final = ("lever", "kind", "provider", "model", "day")
_KEYS: Final = ("day", "lever", "kind", "provider", "model")
_SUMS: Final = {
    "effects": "1",
    "operations": "opens_operation",
    "unchanged": "tokens_before = tokens_after",
    "inexact": "NOT exact",
    "tokens_before": "tokens_before",
    "tokens_after": "tokens_after",
    "net_nanos": "COALESCE(net_nanos, 0)",
    "unvalued": "net_nanos IS NULL",
}
"""Each sum of `effects_daily`, and what one effect adds to it."""
_NETS: Final[Mapping[str, str]] = {"measured": "measured_nanos", "modelled": "modelled_nanos"}
"""Where a net saving goes, by the kind of its effect."""
_FIELDS: Final = (*(name for name in _SUMS if name != "net_nanos"), *_NETS.values())
_EACH: Final = ", ".join(
    f"{sql} AS {name}" for name, sql in {"day": f"at_us / {DAY_US}", **_SUMS}.items()
)
_ADD: Final = (
    f"INSERT INTO effects_daily ({', '.join((*_KEYS, *_SUMS))}) "
    f"SELECT at_us / {DAY_US}, {', '.join(_KEYS[1:])}, "
    f"{', '.join(f'SUM({sql})' for sql in _SUMS.values())} FROM effects WHERE seq > ? "
    "GROUP BY 1, 2, 3, 4, 5 ON CONFLICT (day, lever, kind, provider, model) DO UPDATE SET "
    f"{', '.join(f'{name} = {name} + excluded.{name}' for name in _SUMS)}"
)


def last_effect(db: sqlite3.Connection) -> int:
    """The number of the row that was written last."""
    (last,) = db.execute("SELECT COALESCE(MAX(seq), 0) FROM effects").fetchone()
    return int(last)


def add_to_days(db: sqlite3.Connection, *, after: int) -> None:
    """Add the rows written after that one; inside the transaction that wrote them."""
    db.execute(_ADD, (after,))


def effect_totals(
    db: sqlite3.Connection, by: Sequence[str], *, since: datetime | None, until: datetime | None
) -> list[EffectTotals]:
    """One `EffectTotals` for each combination of `by`: days in their order, then what kept out
    most."""
    for name in by:
        if name not in _DIMENSIONS:
            raise LedgerError(f"no effects by {name!r}: use one of {', '.join(_DIMENSIONS)}")
    if not has_effects(db):
        return []
    groups: dict[tuple[str, ...], dict[str, int]] = {}
    columns = ("kind", *by)
    for source, values in _sources(since, until):
        query = (
            f"SELECT {', '.join((*columns, *(f'SUM({name})' for name in _SUMS)))} FROM {source} "
            f"GROUP BY {', '.join(map(str, range(1, len(columns) + 1)))}"
        )
        for kind, *row in db.execute(query, values):
            sums = dict(zip(_SUMS, row[len(by) :], strict=True))
            sums[_NETS[kind]] = sums.pop("net_nanos")
            group = groups.setdefault(tuple(map(_key_text, by, row)), dict.fromkeys(_FIELDS, 0))
            for name, value in sums.items():
                group[name] += value
    lines = [
        EffectTotals(key=dict(zip(by, key, strict=True)), **sums) for key, sums in groups.items()
    ]
    return sorted(lines, key=_order(by))


def _sources(since: datetime | None, until: datetime | None) -> list[tuple[str, list[Any]]]:
    """What together holds `[since, until)` once: whole days as they are kept, and the rows of the
    days that it cuts."""
    since_us = None if since is None else max(0, microseconds(since))
    until_us = None if until is None else max(0, microseconds(until))
    first = None if since_us is None else -(-since_us // DAY_US)
    end = None if until_us is None else until_us // DAY_US
    if first is not None and end is not None and first >= end:
        return [_rows(since_us, until_us)]
    sources = [_days(first, end)]
    if since_us is not None and first is not None and since_us < first * DAY_US:
        sources.append(_rows(since_us, first * DAY_US))
    if until_us is not None and end is not None and end * DAY_US < until_us:
        sources.append(_rows(end * DAY_US, until_us))
    return sources


def _days(first: int | None, end: int | None) -> tuple[str, list[Any]]:
    edges = [("day >= ?", first), ("day < ?", end)]
    known = [(condition, day) for condition, day in edges if day is not None]
    where = f" WHERE {' AND '.join(condition for condition, _ in known)}" if known else ""
    return f"(SELECT * FROM effects_daily{where})", [day for _, day in known]


def _rows(since_us: int | None, until_us: int | None) -> tuple[str, list[Any]]:
    condition, values = in_period(since_us, until_us)
    labels = ", ".join(_KEYS[1:])
    return f"(SELECT {labels}, {_EACH} FROM effects WHERE {condition})", values


def in_period(
    since_us: int | None, until_us: int | None, *, of: str = ""
) -> tuple[str, list[int | bytes]]:
    """The condition of `[since, until)` and its values; the index of ids is that of times. `of` is
    the name of the table with a dot, where there are several."""
    conditions, values = ["1"], []  # type: tuple[list[str], list[int | bytes]]
    if since_us is not None and since_us > 0:
        conditions.append(f"{of}id >= ? AND {of}at_us >= ?")
        values += [first_id(since_us), since_us]
    if until_us is not None:
        until_us = max(0, until_us)
        conditions.append(f"{of}id < ? AND {of}at_us < ?")
        values += [first_id(until_us + 1000), until_us]
    return " AND ".join(conditions), values


def has_effects(db: sqlite3.Connection) -> bool:
    """An older file that was opened to be read only has no place for them yet."""
    (version,) = db.execute("PRAGMA user_version").fetchone()
    return int(version) >= EFFECTS_SINCE_VERSION


def _key_text(name: str, value: Any) -> str:
    return moment(value * DAY_US).strftime("%Y-%m-%d") if name == "day" else str(value)


def _order(by: Sequence[str]) -> Callable[[EffectTotals], tuple[Any, ...]]:
    def order(line: EffectTotals) -> tuple[Any, ...]:
        day = line.key["day"] if "day" in by else ""
        return (day, -line.tokens_saved, *line.key.values())

    return order
