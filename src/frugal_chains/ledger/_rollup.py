"""The rollups: folded a few hundred rows at a time, so that totals never scan the past."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from frugal_chains.ledger._codec import Labels
from frugal_chains.ledger._ids import first_id
from frugal_chains.ledger._schema import DAY_US, HOUR_US, SUM_COLUMNS
from frugal_chains.ledger._series import SeriesIds

_NAMES = ("attempts", "operations", *SUM_COLUMNS)
_SUMS = ", ".join(f"SUM({c})" for c in SUM_COLUMNS)
_ROLLUP_SUMS = ", ".join(f"SUM({c})" for c in _NAMES)
_SIGNED = ", ".join(f":sign * {c}" for c in SUM_COLUMNS)
_ADD = ", ".join(f"{c} = {c} + excluded.{c}" for c in _NAMES)


@dataclass(frozen=True, slots=True)
class _Rollup:
    """A table of sums over the rows of one label set in one unit of time."""

    name: str
    keys: str
    """Its primary key, in order: what is read together lies together."""
    of: str
    """What a line is about, as `source` names it."""
    unit: str
    width_us: int
    source: str

    def adding(self, sums: str, which: str) -> str:
        """The statement that adds rows of `attempts`."""
        values = {"kind": "s.kind", "series": "series", self.unit: f"at_us / {self.width_us}"}
        groups = ", ".join(values[key] for key in self.keys.split(", "))
        return (
            f"INSERT INTO {self.name} ({self.keys}, {', '.join(_NAMES)}) SELECT {groups}, {sums} "
            f"FROM attempts a JOIN series s ON s.id = a.series WHERE {which} "
            f"ON CONFLICT ({self.keys}) DO UPDATE SET {_ADD}"
        )


_BY_DAY = (
    # Read from kind to kind, as it is kept: there is nothing to sort.
    _Rollup("daily", "kind, day", "k.id", "day", DAY_US, "kinds k CROSS JOIN daily ON kind = k.id")
)
_BY_HOUR = _Rollup("hourly", "hour, kind", "kind", "hour", HOUR_US, "hourly")
_TAGGED = _Rollup("daily_tagged", "day, series", "series", "day", DAY_US, "daily_tagged")
_ROLLUPS = (_BY_DAY, _BY_HOUR, _TAGGED)

_FOLD = tuple(
    rollup.adding(
        f"COUNT(*), SUM(opens_operation), {_SUMS}",
        "seq > (SELECT seq FROM folded) AND seq <= :upto GROUP BY 1, 2",
    )
    for rollup in _ROLLUPS
)
_FOLD_ONE = tuple(
    rollup.adding(
        f":sign, :sign * opens_operation, {_SIGNED}",
        "a.id = :id AND seq <= (SELECT seq FROM folded)",
    )
    for rollup in _ROLLUPS
)

_FAR_FUTURE_US = 253_402_300_800_000_000
"""The year 10000: later than any id or datetime can say."""

Sums = Sequence[int]
"""attempts, operations, then one sum for each of `SUM_COLUMNS`."""
Line = tuple[int, Labels, Sums]
"""Number of the day or hour (0 where none is asked for), labels, sums."""


def fold(db: sqlite3.Connection, *, at_least: int, at_most: int) -> int:
    """Add the oldest `at_most` rows that are not yet in the rollups, if they are `at_least` so
    many; how many are left.

    Inside the caller's write transaction: sums and the number of the last row that is in them are
    committed together, so a row is counted once whenever the process dies.
    """
    query = "SELECT (SELECT MAX(seq) FROM attempts), seq FROM folded"
    last, done = map(int, (number or 0 for number in db.execute(query).fetchone()))
    left = last - done
    if left < at_least:
        return left
    upto = done + min(left, at_most)
    for statement in _FOLD:
        db.execute(statement, {"upto": upto})
    db.execute("UPDATE folded SET seq = ?", (upto,))
    return last - upto


def refold_one(db: sqlite3.Connection, attempt_id: bytes, *, sign: int) -> None:
    """Take one already folded row out of the rollups (sign -1) or put it back (sign 1)."""
    for statement in _FOLD_ONE:
        db.execute(statement, {"id": attempt_id, "sign": sign})


def sums_by_labels(
    db: sqlite3.Connection,
    ids: SeriesIds,
    *,
    since_us: int | None,
    until_us: int | None,
    bucket_us: int | None = None,
    tagged: bool,
) -> Iterator[Line]:
    """Yield lines over `[since, until)`; add up those of equal labels. Some are negative.

    The caller holds a transaction: a fold between two of these queries would count rows twice.

    Args:
        bucket_us: A day or an hour, to have lines for each.
        tagged: Whether labels must carry their tags, which only the daily rollup by series has.
    """
    start = 0 if since_us is None else max(since_us, 0)
    end = _FAR_FUTURE_US if until_us is None else max(until_us, start)
    able = (_TAGGED,) if tagged else (_BY_DAY, _BY_HOUR)
    rollups = [rollup for rollup in able if rollup.width_us <= (bucket_us or DAY_US)]
    ask = _Question(db, ids, bucket_us)
    yield from ask.rows("seq > (SELECT seq FROM folded)", start, end, 1)
    yield from ask.folded(rollups, start, end, 1)


class _Question:
    """One question put to the rollups and, for what they do not hold, to the rows."""

    def __init__(self, db: sqlite3.Connection, ids: SeriesIds, bucket_us: int | None) -> None:
        self._db = db
        self._ids = ids
        self._bucket_us = bucket_us

    def folded(self, rollups: Sequence[_Rollup], start: int, end: int, sign: int) -> Iterator[Line]:
        """What was folded of `[start, end)`, times `sign`.

        The whole days or hours of the first rollup that are nearest to the range, then what is
        missing at its ends or too much, from the finer ones and at last from the rows.
        """
        if start >= end:
            return
        if not rollups:
            # Ids are time-ordered: their index finds the range, at_us makes it exact.
            which = "seq <= (SELECT seq FROM folded) AND id >= :first AND id < :last"
            yield from self.rows(which, start, end, sign)
            return
        coarsest, *finer = rollups
        width = coarsest.width_us
        first, last = ((edge + width // 2) // width * width for edge in (start, end))
        if first >= last:
            yield from self.folded(finer, start, end, sign)
            return
        yield from self._rollup(coarsest, first // width, last // width, sign)
        for here, there, its_sign in (
            (start, first, sign), (first, start, -sign), (last, end, sign), (end, last, -sign),
        ):  # fmt: skip
            yield from self.folded(finer, here, there, its_sign)

    def rows(self, which: str, start: int, end: int, sign: int) -> Iterator[Line]:
        query = f"""
            SELECT {self._bucket("at_us", 1)}, series AS number, COUNT(*), SUM(opens_operation),
            {_SUMS} FROM attempts WHERE {which} AND at_us >= :from AND at_us < :to GROUP BY 1, 2
        """
        arguments = {
            "from": start, "to": end, "first": first_id(start), "last": first_id(end + 1000),
        }  # fmt: skip
        yield from self._by_series(query, arguments, sign)

    def _rollup(self, rollup: _Rollup, first: int, last: int, sign: int) -> Iterator[Line]:
        of, unit, bucket = rollup.of, rollup.unit, self._bucket(rollup.unit, rollup.width_us)
        query = f"""
            SELECT {bucket}, {of} AS number, {_ROLLUP_SUMS} FROM {rollup.source}
            WHERE {unit} >= :first AND {unit} < :last
            GROUP BY {f"{of}, {bucket}" if self._bucket_us else of}
        """
        arguments = {"first": first, "last": last}
        if rollup is _TAGGED:
            yield from self._by_series(query, arguments, sign)
            return
        for bucket, kind, *sums in self._db.execute(query, arguments):
            yield bucket, self._ids.labels_of_kind(self._db, kind), _times(sign, sums)

    def _by_series(self, query: str, arguments: Mapping[str, Any], sign: int) -> Iterator[Line]:
        """Lines of a query whose second column is `number`, that of a series: all labels come with
        it. There may be as many series as calls, so that asking for each takes longer."""
        joined = (
            f"SELECT s.kind, s.tags, g.* FROM ({query}) g CROSS JOIN series s ON s.id = g.number"
        )
        for kind, tags, bucket, _, *sums in self._db.execute(joined, arguments):
            yield bucket, self._ids.tagged(self._db, kind, tags), _times(sign, sums)

    def _bucket(self, column: str, width: int) -> str:
        if self._bucket_us in (None, width):
            return column if self._bucket_us else "0"
        return f"{column} * {width} / {self._bucket_us}"


def _times(sign: int, sums: Sequence[int]) -> Sequence[int]:
    return sums if sign > 0 else [-value for value in sums]
