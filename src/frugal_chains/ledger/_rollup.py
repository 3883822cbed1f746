"""The daily rollup: folded a few hundred rows at a time, so that totals never scan the past."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any

from frugal_chains.ledger._ids import first_id
from frugal_chains.ledger._schema import DAY_US, HOUR_US, SUM_COLUMNS

_SUMS = ", ".join(f"SUM({c})" for c in SUM_COLUMNS)
_NAMES = ", ".join(SUM_COLUMNS)
_ADD = ", ".join(f"{c} = {c} + excluded.{c}" for c in ("attempts", "operations", *SUM_COLUMNS))
_SIGNED = ", ".join(f":sign * {c}" for c in SUM_COLUMNS)

_FOLD = f"""
INSERT INTO daily (day, series, attempts, operations, {_NAMES})
SELECT at_us / {DAY_US}, series, COUNT(*), SUM(opens_operation), {_SUMS}
FROM attempts WHERE seq > (SELECT seq FROM folded) AND seq <= :upto GROUP BY 1, 2
ON CONFLICT (day, series) DO UPDATE SET {_ADD}
"""

_FOLD_ONE = f"""
INSERT INTO daily (day, series, attempts, operations, {_NAMES})
SELECT at_us / {DAY_US}, series, :sign, :sign * opens_operation, {_SIGNED}
FROM attempts WHERE id = :id AND seq <= (SELECT seq FROM folded)
ON CONFLICT (day, series) DO UPDATE SET {_ADD}
"""

_IN_RANGE = "id >= :first AND id < :last"
_FAR_FUTURE_US = 253_402_300_800_000_000
"""The year 10000: later than any id or datetime can say."""

Sums = tuple[int, ...]
"""attempts, operations, then one sum for each of `SUM_COLUMNS`."""


def fold(db: sqlite3.Connection, *, at_least: int = 1) -> None:
    """Add the rows that are not yet in `daily`, if they are `at_least` so many.

    Inside the caller's write transaction.
    """
    query = "SELECT (SELECT MAX(seq) FROM attempts), seq FROM folded"
    upto, done = db.execute(query).fetchone()
    if upto is not None and upto - done >= at_least:
        db.execute(_FOLD, {"upto": upto})
        db.execute("UPDATE folded SET seq = ?", (upto,))


def refold_one(db: sqlite3.Connection, attempt_id: bytes, *, sign: int) -> None:
    """Take one already folded row out of `daily` (sign -1) or put it back (sign 1)."""
    db.execute(_FOLD_ONE, {"id": attempt_id, "sign": sign})


def sums_by_series(
    db: sqlite3.Connection,
    *,
    since_us: int | None,
    until_us: int | None,
    bucket_us: int | None = None,
) -> Iterator[tuple[int, int, Sums]]:
    """Yield (bucket, series, sums) over `[since, until)`; bucket is 0 when `bucket_us` is None.

    Whole days come from `daily`; the ends of the range and the rows not yet folded are read from
    `attempts`. Hours are finer than the rollup and are always read from `attempts`. The caller
    holds a transaction: a fold between two of these queries would count rows twice.
    """
    start = 0 if since_us is None else max(since_us, 0)
    end = _FAR_FUTURE_US if until_us is None else max(until_us, start)
    first_day, last_day = -(-start // DAY_US), end // DAY_US  # whole days: [first_day, last_day)
    # Ids are time-ordered: their index finds the range, at_us makes it exact to the microsecond.
    if bucket_us == HOUR_US or first_day >= last_day:
        yield from _scan(db, _IN_RANGE, {"from": start, "to": end}, bucket_us)
        return
    folded = f"seq <= (SELECT seq FROM folded) AND {_IN_RANGE}"
    yield from _scan(db, "seq > (SELECT seq FROM folded)", {"from": start, "to": end}, bucket_us)
    yield from _scan(db, folded, {"from": start, "to": first_day * DAY_US}, bucket_us)
    yield from _read_daily(db, first_day, last_day, by_day=bucket_us is not None)
    yield from _scan(db, folded, {"from": last_day * DAY_US, "to": end}, bucket_us)


def _scan(
    db: sqlite3.Connection, which: str, span: dict[str, int], bucket_us: int | None
) -> Iterator[tuple[int, int, Sums]]:
    if span["from"] >= span["to"]:
        return
    bucket = f"at_us / {bucket_us}" if bucket_us else "0"
    query = f"""
        SELECT {bucket}, series, COUNT(*), SUM(opens_operation), {_SUMS} FROM attempts
        WHERE {which} AND at_us >= :from AND at_us < :to
        GROUP BY 1, 2
    """
    arguments: dict[str, Any] = {
        **span, "first": first_id(span["from"]), "last": first_id(span["to"] + 1000),
    }  # fmt: skip
    for row in db.execute(query, arguments):
        yield row[0], row[1], row[2:]


def _read_daily(
    db: sqlite3.Connection, first_day: int, last_day: int, *, by_day: bool
) -> Iterator[tuple[int, int, Sums]]:
    bucket = "day" if by_day else "0"
    query = f"""
        SELECT {bucket}, series, SUM(attempts), SUM(operations), {_SUMS} FROM daily
        WHERE day >= ? AND day < ? GROUP BY 1, 2
    """
    for row in db.execute(query, (first_day, last_day)):
        yield row[0], row[1], row[2:]
